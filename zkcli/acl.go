package zkcli

import (
	"fmt"
	"strings"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/wire"
)

// permissions in the order in which they are printed.
var permissions = []struct {
	letter rune
	bit    wire.Perms
}{{'c', wire.PermCreate}, {'d', wire.PermDelete}, {'r', wire.PermRead}, {'w', wire.PermWrite}, {'a', wire.PermAdmin}}

// parseACL reads scheme:id:perms, several joined by commas; an id may contain colons, as digests do. What is wrong is
// complained of and left out.
func (s *shell) parseACL(text string) []wire.ACL {
	var acl []wire.ACL
	entries := strings.Split(text, ",")
	for len(entries) > 0 && entries[len(entries)-1] == "" && text != "" {
		entries = entries[:len(entries)-1]
	}
	for _, entry := range entries {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first == last {
			fmt.Fprintf(s.err, "%s does not have the form scheme:id:perm\n", entry)
			continue
		}
		a := wire.ACL{ID: wire.ID{Scheme: entry[:first], ID: entry[first+1 : last]}}
		for _, letter := range entry[last+1:] {
			bit := wire.Perms(0)
			for _, p := range permissions {
				if p.letter == letter {
					bit = p.bit
				}
			}
			if bit == 0 {
				fmt.Fprintf(s.err, "Unknown perm type: %c\n", letter)
			}
			a.Perms |= bit
		}
		acl = append(acl, a)
	}
	return acl
}

// juteText is a string as records print themselves.
var juteText = strings.NewReplacer("\x00", "%00", "\n", "%0A", "\r", "%0D", ",", "%2C", "}", "%7D", "%", "%25")

func getACL(s *shell, a arguments) error {
	acl, stat, err := s.session.GetACL(background, a.words[1])
	if err != nil {
		return err
	}
	for _, entry := range acl {
		letters := ""
		for _, p := range permissions {
			if entry.Perms&p.bit != 0 {
				letters += string(p.letter)
			}
		}
		fmt.Fprintf(s.out, "'%s,'%s\n: %s\n", juteText.Replace(entry.ID.Scheme), juteText.Replace(entry.ID.ID), letters)
	}
	if a.has("s") {
		s.printStat(stat)
	}
	return nil
}

func setACL(s *shell, a arguments) error {
	acl := s.parseACL(a.words[2])
	v, err := a.version()
	if err != nil {
		return err
	}
	if a.has("R") {
		return s.visit(a.words[1], false, func(path string) error {
			_, err := s.session.SetACL(background, path, acl, v)
			if client.IsArgument(err) {
				return err
			}
			if err != nil {
				fmt.Fprint(s.out, err) // and on, on the same line
			}
			return nil
		})
	}
	stat, err := s.session.SetACL(background, a.words[1], acl, v)
	if err == nil && a.has("s") {
		s.printStat(stat)
	}
	return err
}

// addAuth does not wait for the server's opinion.
func addAuth(s *shell, a arguments) error {
	if len(a.words) < 2 {
		return failure("addauth " + commands()["addauth"].usage)
	}
	var auth []byte
	if len(a.words) > 2 {
		auth = []byte(a.words[2])
	}
	s.session.AddAuth(a.words[1], auth)
	return nil
}

func whoAmI(s *shell, _ arguments) error {
	ids, err := s.session.WhoAmI(background)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, "Auth scheme: User")
	for _, id := range ids {
		fmt.Fprintf(s.out, "%s: %s\n", id.AuthScheme, id.User)
	}
	return nil
}
