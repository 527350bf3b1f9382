package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/spelling"
)

// Limit chooses hosts of an ensemble, in the words of an operator, as Choose explains.
type Limit []string

// The words of a limit that depend on what the members do at the moment.
const (
	leads   = "leader"
	follows = "follower"
)

// LimitError is a limit that means no host.
type LimitError struct {
	Text, Remedy string
	// Moment says that all that is wrong is that no member does now what a word asks for.
	Moment bool
}

// Error says which word is at fault.
func (e *LimitError) Error() string { return e.Text }

// Hint says what may stand there, or what was probably meant.
func (e *LimitError) Hint() string { return e.Remedy }

// AsksStates reports whether Choose has to be told what the members do.
func (l Limit) AsksStates(inv *Inventory) bool {
	return slices.ContainsFunc(l, func(word string) bool {
		word = strings.TrimPrefix(word, "!")
		return (word == leads || word == follows) && inv.Host(word) == nil
	})
}

// Choose returns the hosts that are meant, in the order of the inventory. A word is the name of a host; a pattern of names
// with *, ? or [a-z]; a role (voter, observer), or what a member does now (leader, follower); or @ and a label. A ! before it
// takes these hosts away again; where all words do that, it is from all hosts. states has leader or follower by name.
//
// A word that means no host is an error, since it is more often a slip than an intention.
func (l Limit) Choose(inv *Inventory, states map[string]string) ([]Host, error) {
	chosen := map[string]bool{}
	all := !slices.ContainsFunc(l, func(word string) bool { return !strings.HasPrefix(word, "!") })
	for _, h := range inv.Hosts {
		chosen[h.Name] = all
	}
	var nobody error // does now what a word asks for; a slip in another word is told of first
	for _, wanted := range []bool{true, false} {
		for _, word := range l {
			text, away := strings.CutPrefix(word, "!")
			if away == wanted {
				continue
			}
			meant, err := inv.meant(text, states)
			if err != nil && away && (text == string(Voter) || text == string(Observer)) {
				continue // there are none to be taken away
			}
			if limit := (*LimitError)(nil); errors.As(err, &limit) && limit.Moment {
				nobody = cmp.Or(nobody, err)
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, name := range meant {
				chosen[name] = wanted
			}
		}
	}
	if nobody != nil {
		return nil, nobody
	}
	hosts := slices.DeleteFunc(slices.Clone(inv.Hosts), func(h Host) bool { return !chosen[h.Name] })
	if len(hosts) == 0 {
		return nil, &LimitError{Text: "--limit " + strings.Join(l, ",") + " leaves no host"}
	}
	return hosts, nil
}

// meant are the names of the hosts that a word means.
func (inv *Inventory) meant(word string, states map[string]string) ([]string, error) {
	label, labelled := strings.CutPrefix(word, "@")
	_, err := path.Match(word, "")
	if err != nil {
		return nil, &LimitError{Text: fmt.Sprintf("--limit: %q is no pattern: %v", word, err)}
	}
	fits := func(h Host) bool { return h.Name == word }
	none, moment := "no host %q in the inventory", false
	switch {
	case inv.Host(word) != nil:
	case labelled:
		fits, none = func(h Host) bool { return slices.Contains(h.Labels, label) }, "no host has the label %q"
		word = label
	case word == string(Voter), word == string(Observer):
		fits, none = func(h Host) bool { return string(h.Role) == word }, "no host of the inventory is %s"
	case word == leads, word == follows:
		fits, none = func(h Host) bool { return states[h.Name] == word }, "no member is %s at the moment"
		moment = true
	case strings.ContainsAny(word, "*?["):
		fits = func(h Host) bool { ok, _ := path.Match(word, h.Name); return ok }
		none = "no name of a host is like %q"
	}
	var names []string
	for _, h := range inv.Hosts {
		if fits(h) {
			names = append(names, h.Name)
		}
	}
	if len(names) == 0 {
		return nil, &LimitError{Text: fmt.Sprintf(none, word) + inv.instead(word, labelled), Moment: moment,
			Remedy: "names, patterns (zk*), voter, observer, leader, follower, @LABEL; ! before one leaves it out"}
	}
	return names, nil
}

// instead says what there is in place of an unknown word.
func (inv *Inventory) instead(word string, labelled bool) string {
	var names []string
	for _, h := range inv.Hosts {
		if labelled {
			names = append(names, h.Labels...)
		} else {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	candidates := names
	if !labelled {
		candidates = append(slices.Clone(names), string(Voter), string(Observer), leads, follows)
	}
	switch near := spelling.Nearest(word, candidates); {
	case near != "" && near != word:
		return fmt.Sprintf("; did you mean %q?", near)
	case len(names) == 0:
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}
