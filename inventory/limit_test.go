package inventory

import (
	"errors"
	"strings"
	"testing"
)

func TestLimit(t *testing.T) {
	inv, err := Parse("lab.yaml", []byte(`name: lab
hosts:
  - {name: zk1, address: 10.0.0.1, id: 1, labels: [rack1, ssd]}
  - {name: zk2, address: 10.0.0.2, id: 2, labels: [rack1]}
  - {name: zk3, address: 10.0.0.3, id: 3, labels: [rack2]}
  - {name: far, address: 10.0.0.4, id: 4, role: observer}
`))
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{"zk1": "follower", "zk2": "leader", "far": "observing"}
	for _, c := range []struct{ limit, want string }{
		{"zk2", "zk2"},
		{"zk3,zk1", "zk1 zk3"},
		{"zk*", "zk1 zk2 zk3"},
		{"zk[12]", "zk1 zk2"},
		{"???", "zk1 zk2 zk3 far"},
		{"voter", "zk1 zk2 zk3"},
		{"observer", "far"},
		{"leader", "zk2"},
		{"follower", "zk1"},
		{"@rack1", "zk1 zk2"},
		{"@rack1,far,!@ssd", "zk2 far"},
		{"!zk2", "zk1 zk3 far"},
		{"!observer", "zk1 zk2 zk3"},
		{"!leader,voter", "zk1 zk3"},
		{"zk9", `error: no host "zk9" in the inventory; did you mean "zk1"?`},
		{"slave", `error: no host "slave" in the inventory; there are far, zk1, zk2, zk3`},
		{"leadr", `error: no host "leadr" in the inventory; did you mean "leader"?`},
		{"!zk9", `error: no host "zk9" in the inventory; did you mean "zk1"?`},
		{"@rak2", `error: no host has the label "rak2"; did you mean "rack2"?`},
		{"db*", `error: no name of a host is like "db*"; there are far, zk1, zk2, zk3`},
		{"zk[", `error: --limit: "zk[" is no pattern: syntax error in pattern`},
		{"zk1,!voter", "error: --limit zk1,!voter leaves no host"},
	} {
		var got []string
		hosts, err := Limit(strings.Split(c.limit, ",")).Choose(inv, states)
		for _, h := range hosts {
			got = append(got, h.Name)
		}
		if text := strings.Join(got, " "); err != nil && "error: "+err.Error() != c.want || err == nil && text != c.want {
			t.Errorf("%s: %s, %v; want %s", c.limit, text, err, c.want)
		}
	}
	for word, want := range map[string]bool{"leader": true, "!follower": true, "voter": false, "zk1": false} {
		if Limit([]string{word}).AsksStates(inv) != want {
			t.Errorf("%s asks for states: %v", word, !want)
		}
	}
	for word, moment := range map[string]bool{"leader": true, "zk1,!follower": true, "leader,zk9": false, "@none": false} {
		_, err := Limit(strings.Split(word, ",")).Choose(inv, nil)
		if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Moment != moment {
			t.Errorf("%s: %v", word, err)
		}
	}
	if _, err := Limit([]string{"leader"}).Choose(inv, nil); err == nil || !strings.Contains(err.Error(), "no member is leader at the moment") {
		t.Errorf("nobody leads: %v", err)
	}
	if _, err := Parse("lab.yaml", []byte("name: lab\nhosts: [{name: a, address: b, id: 1, labels: ['a b']}]")); err == nil || !strings.Contains(err.Error(), "lab.yaml:2:") {
		t.Errorf("a label with a blank: %v", err)
	}
}
