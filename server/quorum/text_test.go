package quorum

import (
	"errors"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// What the parsing of a text must give: "" for no error, "checked" and "unchecked" for the two kinds of errors.
func kind(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrUnchecked):
		return "unchecked"
	}
	return "checked"
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return c
}

const three = "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181\n" +
	"server.2=10.0.0.2:2888:3888:participant;0.0.0.0:2181\n" +
	"server.3=10.0.0.3:2888:3888:observer;0.0.0.0:2181\n"

func TestTextIsReadAsItIsWritten(t *testing.T) {
	for _, text := range []string{
		three + "version=100000000",
		"server.7=[fd00::1]:1:2:participant;[::1]:3\nversion=0",
		"server.1=a:1:2:participant\nserver.2=a:3:4:participant\nserver.3=a:5:6:observer\n" +
			"group.1=1:3\ngroup.2=2\nweight.1=1\nweight.3=0\nweight.2=5\nversion=7fffffffffffffff",
	} {
		c := mustParse(t, text)
		if got := string(c.Text()); got != text {
			t.Errorf("got\n%s\nwant\n%s", got, text)
		}
		if !c.Equal(mustParse(t, text)) {
			t.Errorf("not equal to itself: %s", text)
		}
	}
	c := mustParse(t, "version=5\n# a comment\nserver.2 : b:1:2 ; 2181\nserver.1=gone:1:2\nserver.1=a:1:2:OBSERVER")
	if want := "server.1=a:1:2:observer\nserver.2=b:1:2:participant;0.0.0.0:2181\nversion=5"; string(c.Text()) != want {
		t.Errorf("got\n%s\nwant\n%s", c.Text(), want)
	}
	if c.Version() != 5 || string(c.WithVersion(0xab).Text()) != strings.Replace(string(c.Text()), "version=5", "version=ab", 1) || c.Version() != 5 {
		t.Errorf("version %d, text %s", c.Version(), c.WithVersion(0xab).Text())
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "checked",
		"version=0":                            "checked",
		"server.1=a:1:2:observer":              "checked",
		"server.1=a:1:2\nclientPort=2181":      "checked",
		"server.x=a:1:2\nclientPort=2181":      "checked",
		"server=a:1:2":                         "checked",
		"server.1=a:1":                         "checked",
		"server.1=a:1:1":                       "checked",
		"server.1=a:x:2":                       "checked",
		"server.1=a:0:2":                       "checked",
		"server.1=a:70000:2":                   "unchecked",
		"server.1=a:-1:2":                      "unchecked",
		"server.1=a:1:2;70000":                 "unchecked",
		"server.x=a:1:2":                       "unchecked",
		"server.1=a:1:2\nversion=xyz":          "unchecked",
		"server.1=a:1:2\\u12":                  "unchecked",
		"server.1=a:1:2:judge":                 "checked",
		"server.1=a|b:1:2":                     "checked",
		"server.1=a\\nserver.2:1:2":            "checked",
		"server.1=a:1:2\ngroup.1=2":            "unchecked", // a server without a weight
		"server.1=a:1:2\ngroup.x=1":            "unchecked",
		"server.1=a:1:2\ngroup.1=x":            "unchecked",
		"server.1=a:1:2\nweight.1=1":           "checked",
		"server.1=a:1:2\nweight.1=x":           "unchecked",
		"server.1=a:1:2\ngroup.1=1\ngroup.2=1": "checked",
		"server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1\nweight.2=1": "checked",
	} {
		if c, err := Parse([]byte(text)); kind(err) != want {
			t.Errorf("%q: %v, %v, want an error that is %s", text, c, err, want)
		}
	}
}

func TestEqual(t *testing.T) {
	base := three + "version=1"
	for text, want := range map[string]bool{
		three + "version=2":                                                       true,
		"server.1=a:1:2\nserver.2=b:1:2\nversion=1":                               true, // one version is one membership
		strings.Replace(three, "2181", "2182", 1) + "version=2":                   false,
		strings.Replace(three, "observer", "participant", 1) + "version=2":        false,
		strings.Replace(three, "10.0.0.1:2888", "10.0.0.1:2889", 1) + "version=2": false,
		three + "server.4=10.0.0.4:2888:3888\nversion=2":                          false,
		three + "group.1=1:2\nversion=2":                                          false,
	} {
		if got := mustParse(t, base).Equal(mustParse(t, text)); got != want {
			t.Errorf("equal to %q: %v", text, got)
		}
	}
	grouped := mustParse(t, three+"group.1=1:2\nversion=2")
	for text, want := range map[string]bool{"weight.1=1": true, "weight.1=2": false} {
		if got := grouped.Equal(mustParse(t, three+"group.1=2:1\n"+text)); got != want {
			t.Errorf("groups, %s: equal: %v", text, got)
		}
	}
}

func TestChange(t *testing.T) {
	const fourth = "server.4=10.0.0.4:2888:3888:participant;0.0.0.0:2181\n"
	for _, c := range []struct{ joining, leaving, want, fails string }{
		{"", "", three, ""},
		{"server.4=10.0.0.4:2888:3888;2181", "", three + fourth, ""},
		{" x.y.4 = 10.0.0.4:2888:3888;2181 ,, ", " ", three + fourth, ""},
		{"4=10.0.0.4:2888:3888;2181", "9", three + fourth, ""},
		{"", "3, 3", three[:strings.Index(three, "server.3")], ""},
		{"server.3=10.0.0.3:2888:3888;2181", "", strings.Replace(three, "observer", "participant", 1), ""},
		{"server.3=10.0.0.3:2888:3888;2181", "3", strings.Replace(three, "observer", "participant", 1), ""},
		{"server.4=127.0.0.1:2888:3888;2181,server.5=127.0.0.1:2888:3888;2181", "", three + "server.4=127.0.0.1:2888:3888:participant;0.0.0.0:2181\nserver.5=127.0.0.1:2888:3888:participant;0.0.0.0:2181\n", ""},
		{"", "x", "", "unchecked"},
		{"server.x=10.0.0.4:2888:3888;2181", "", "", "unchecked"},
		{"server.4=10.0.0.4:2888:3888;99999", "", "", "unchecked"},
		{"server.4=10.0.0.4:2888:3888", "", "", "checked"},
		{"server.4", "", "", "checked"},
		{"server.4=a=b", "", "", "checked"},
		{"server.4=10.0.0.4:2888;2181", "", "", "checked"},
		{"server.4=10.0.0.1:3888:2888;2181", "", "", "checked"}, // the ports of server 1
		{"server.4=10.0.0.4:2888:3888;10.0.0.1:2888", "", "", "checked"},
		{"server.4=10.0.0.1:3888:2888;2181", "1", three[strings.Index(three, "server.2"):] + "server.4=10.0.0.1:3888:2888:participant;0.0.0.0:2181\n", ""},
		{"", "1,2", "", "checked"}, // nobody votes
	} {
		got, err := mustParse(t, three+"version=1").Change(c.joining, c.leaving, 0x2a)
		if kind(err) != c.fails {
			t.Errorf("join %q, leave %q: %v, want an error that is %q", c.joining, c.leaving, err, c.fails)
		}
		if err == nil && string(got.Text()) != c.want+"version=2a" {
			t.Errorf("join %q, leave %q: got\n%s\nwant\n%s", c.joining, c.leaving, got.Text(), c.want)
		}
	}
	if _, err := mustParse(t, three+"group.1=1:2").Change("", "3", 1); kind(err) != "checked" {
		t.Errorf("groups: %v", err)
	}
}

// FuzzParse: a text that is read is written as one that reads the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(three + "version=100000000"))
	f.Add([]byte("server.1=[fd00::1%eth0]:1:2:observer;[::]:3\nserver.2=b:1:2\ngroup.1=1:2\nweight.1=0\n"))
	f.Add([]byte("server.1=\\u0061:1:2;a:\\\n 5\nversion=-1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.Text())
		if err != nil {
			if c.Version() < 0 {
				return // written as a number that is too large, as in Apache ZooKeeper
			}
			t.Fatalf("%q is written as %q, which cannot be read: %v", text, c.Text(), err)
		}
		if string(again.Text()) != string(c.Text()) || !again.WithVersion(again.Version()+1).Equal(c) {
			t.Fatalf("%q is written as %q, which reads %q", text, c.Text(), again.Text())
		}
		for _, id := range []wire.ServerID{1, 2} {
			if c.MayLead(id) != again.MayLead(id) {
				t.Fatalf("%q: server %d may lead: %v, then %v", text, id, c.MayLead(id), again.MayLead(id))
			}
		}
	})
}
