package quorum

import (
	"slices"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for line, want := range map[string]string{
		"b:1:2":                        "b:1:2:participant",
		"b:1:2|a:3:4:observer":         "a:3:4|b:1:2:observer",
		"b:1:2:observer|a:3:4;9":       "a:3:4|b:1:2:observer;0.0.0.0:9",
		"[::2]:1:2|10.0.0.1:1:2|a:5:6": "10.0.0.1:1:2|[::2]:1:2|a:5:6:participant",
		"a:1:2|a:1:2|a:1:3":            "a:1:2|a:1:3:participant",
	} {
		m, err := ParseMember(7, line)
		if err != nil || m.String() != want {
			t.Errorf("%s is read as %v, %v", line, m, err)
		}
		again, err := ParseMember(7, m.String())
		if err != nil || again != m {
			t.Errorf("%s is read again as %v, %v", line, again, err)
		}
		if n := strings.Count(want, "|") + 1; len(m.Addresses()) != n || len(m.QuorumAddresses()) != n || len(m.ElectionAddresses()) != n {
			t.Errorf("%s has %d addresses", line, len(m.Addresses()))
		}
	}
	for line, part := range map[string]string{
		"a:1:2|": "no host", "|a:1:2": "no host", "a:1:2|b": "no ports", "a:1:2|b:1": "no election port", "a:1:2|b:1:1": "the same",
		"a:1:2:observer|b:1:2:participant": "different roles", "a:1:2|b:1:99999": "99999",
	} {
		if _, err := ParseMember(7, line); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", line, err)
		}
	}
	m, _ := ParseMember(1, "b:1:2|[::1]:3:4")
	if got, want := m.QuorumAddresses(), []string{"[::1]:3", "b:1"}; !slices.Equal(got, want) {
		t.Errorf("quorum addresses %v, want %v", got, want)
	}
	if got, want := m.ElectionAddresses(), []string{"[::1]:4", "b:2"}; !slices.Equal(got, want) {
		t.Errorf("election addresses %v, want %v", got, want)
	}
	c, err := New([]Member{m}, nil, 0)
	if err != nil || !c.SeveralAddresses() {
		t.Errorf("several addresses: %v, %v", c.SeveralAddresses(), err)
	}
	if _, err := c.Change("server.2=c:1:2|[::1]:9:4;5", "", 1); err != nil { // the loopback and wildcards are everybody's own
		t.Error(err)
	}
	m.setAddresses([]Address{{"10.0.0.1", 1, 2}, {"10.0.0.2", 1, 2}})
	if c, err = New([]Member{m}, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Change("server.2=10.0.0.3:1:2|10.0.0.2:1:3;5", "", 1); err == nil || !strings.Contains(err.Error(), "10.0.0.2:1") {
		t.Errorf("a shared address: %v", err)
	}
}
