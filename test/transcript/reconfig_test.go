//go:build interop

package transcript

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/authority"
	"github.com/zkctl/zkctl/test/ensemble"
)

var memberLine = regexp.MustCompile(`(?m)^server\.(\d)=127\.0\.0\.1:(\d+):(\d+):`)

// members are the addresses of the members of an ensemble, as they stand in a membership.
func (p pair) members(t *testing.T, kind ensemble.Kind) map[string]string {
	t.Helper()
	ctx, c := p.session(t, kind)
	defer c.Close(ctx)
	text, _, err := c.Config(ctx, false)
	must(t, err)
	all := make(map[string]string)
	for _, m := range memberLine.FindAllStringSubmatch(string(text), -1) {
		all["SERVER"+m[1]] = fmt.Sprintf("127.0.0.1:%s:%s:participant;%s", m[2], m[3], p[kind].Member(int(m[1][0]-'0')).Addr())
	}
	if len(all) != 3 {
		t.Fatalf("membership %q", text)
	}
	return all
}

// TestReconfig removes a member and adds it again, in each form of the command. Member 1 cannot be the leader, which would
// step down: any other one that could lead in its stead has a greater id.
func TestReconfig(t *testing.T) {
	p := servers(t, 3, "reconfigEnabled=true", "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=") // super:test
	const session = `
reconfig -remove 1
addauth digest super:test
reconfig -members server.1=SERVER1,server.2=SERVER2,server.3=SERVER3
reconfig
reconfig -v zz -remove 1
reconfig -v 1 -remove 1
reconfig -remove 9
reconfig -add server.1=garbage
reconfig -remove 1 -members server.2=SERVER2
config -w
1! reconfig -remove 1
reconfig -add server.1=SERVER1
reconfig -members server.2=SERVER2,server.3=SERVER3
reconfig -s -file FILE
config
config -c
reconfig -file BAD
quit
`
	version := regexp.MustCompile(`(?m)^version=[0-9a-f]+$`)
	clients := regexp.MustCompile(`(?m)^[0-9a-f]+ (CLIENT\d(?:,CLIENT\d)*)$`)
	members := make(map[ensemble.Kind]map[string]string)
	for kind := range p {
		members[kind] = p.members(t, kind)
	}
	p.compareAsIs(t, "", func(t *testing.T, w way) transcript {
		all := members[w.server]
		dir := t.TempDir()
		var forth, back []string
		text := ""
		for name, address := range all {
			forth = append(forth, name, address)
			back = append(back, address, name, strings.ReplaceAll(address, p[w.server].Member(3).Addr(), "SERVER"), name)
			text += strings.ToLower(name[:6]) + "." + name[6:] + "=" + address + "\n"
		}
		file, bad := authority.Write(t, dir, "members", []byte(text)), authority.Write(t, dir, "bad", []byte("clientPort=1\n"))
		s := script{lines: strings.NewReplacer(append(forth, "FILE", file, "BAD", bad)...).Replace(session)}
		got := s.play(t, w, nil, 1, p[w.server].Member(3).Addr())
		alike := strings.NewReplacer(append(back, file, "FILE", bad, "BAD", p[w.server].Member(1).Addr(), "CLIENT1",
			p[w.server].Member(2).Addr(), "CLIENT2", "SERVER", "CLIENT3")...)
		for i := range got.lines {
			got.lines[i] = alike.Replace(got.lines[i])
		}
		for i := range got.out {
			got.out[i] = version.ReplaceAllString(alike.Replace(got.out[i]), "version=VERSION")
			got.out[i] = clients.ReplaceAllStringFunc(got.out[i], func(line string) string { // in zkCli.sh in the order of a hash table
				list := strings.Split(clients.FindStringSubmatch(line)[1], ",")
				slices.Sort(list)
				return "VERSION " + strings.Join(list, ",")
			})
		}
		for i := range got.errors {
			got.errors[i] = alike.Replace(got.errors[i])
		}
		return got
	})
}
