package auth

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

var passwords = map[string]string{"bob": "b", "root": "r", "super": "s"}

func saslOptions() SASLOptions {
	return SASLOptions{
		Password:   func(user string) (string, bool) { p, ok := passwords[user]; return p, ok },
		Nonce:      func() string { return "nonce" },
		SuperUsers: []string{"root", "admin"},
	}
}

// authenticate lets a client of SASL speak with a policy, and returns the last answer.
func authenticate(t *testing.T, p *Policy, e *Exchange, ids []wire.ID, user, password string) SASLAnswer {
	t.Helper()
	client := sasl.NewClient(saslService, saslHost, user, password, "cnonce")
	first := p.Respond(e, ids, nil)
	if first.Err != wire.ErrOK || first.Reason != nil || !reflect.DeepEqual(first.IDs, ids) {
		t.Fatalf("the challenge is %+v", first)
	}
	response, err := client.Respond(first.Token)
	if err != nil {
		t.Fatal(err)
	}
	last := p.Respond(e, ids, response)
	if last.Token != nil {
		if _, err := client.Respond(last.Token); err != nil || !client.Done() {
			t.Errorf("the client finds %v", err)
		}
	}
	return last
}

func TestSASL(t *testing.T) {
	id := func(name string) wire.ID { return wire.ID{Scheme: "sasl", ID: name} }
	for _, test := range []struct {
		user, password string
		change         func(*Options)
		err            wire.ErrCode
		failed         bool
		want           []wire.ID
	}{
		{"bob", "b", nil, wire.ErrOK, false, []wire.ID{home, id("bob")}},
		{"root", "r", nil, wire.ErrOK, false, []wire.ID{home, id("root"), super}},
		{"super", "s", nil, wire.ErrOK, false, []wire.ID{home, id("super")}},
		{"bob", "x", nil, wire.ErrAuthFailed, true, []wire.ID{home}},
		{"eve", "x", nil, wire.ErrAuthFailed, true, []wire.ID{home}},
		{"bob", "b", func(o *Options) { o.Enforced = []string{"sasl"} }, wire.ErrOK, false, []wire.ID{home, id("bob")}},
		{"bob", "x", func(o *Options) { o.Enforced = []string{"sasl"} }, wire.ErrSessionClosedRequireSASL, true, []wire.ID{home}},
		{"bob", "x", func(o *Options) { o.Enforced = []string{"digest"} }, wire.ErrAuthFailed, true, []wire.ID{home}},
		{"bob", "x", func(o *Options) { o.SASL.AllowFailed = true }, wire.ErrOK, true, []wire.ID{home}},
		{"bob", "x", func(o *Options) { o.SASL.AllowFailed, o.Enforced = true, []string{"sasl"} }, wire.ErrSessionClosedRequireSASL, true, []wire.ID{home}},
	} {
		o := Options{SASL: saslOptions(), Schemes: []Scheme{SASL("")}}
		if test.change != nil {
			test.change(&o)
		}
		var e Exchange
		got := authenticate(t, New(o), &e, []wire.ID{home}, test.user, test.password)
		if got.Err != test.err || (got.Reason != nil) != test.failed || !reflect.DeepEqual(got.IDs, test.want) || (got.Token == nil) != test.failed {
			t.Errorf("%s, %s: %+v", test.user, test.password, got)
		}
		again := New(o).Respond(&e, got.IDs, nil)
		if !errors.Is(again.Reason, sasl.ErrOver) || again.Token != nil || !reflect.DeepEqual(again.IDs, got.IDs) {
			t.Errorf("%s, %s: once more %+v", test.user, test.password, again)
		}
	}
}

// A server that does not know SASL lets clients go on that try it.
func TestWithoutSASL(t *testing.T) {
	var e Exchange
	if got := New(Options{}).Respond(&e, []wire.ID{home}, []byte("anything")); !reflect.DeepEqual(got, SASLAnswer{IDs: []wire.ID{home}}) {
		t.Errorf("got %+v", got)
	}
}

func TestSASLIDs(t *testing.T) {
	s := SASL("anyone@X")
	for id, want := range map[string]bool{
		"bob": true, "": true, "bob@R": true, "zookeeper/host@R": true, "a/b/c": true, "@": true, "bob@": true,
		"a@b@c": false, "a/b/c@R": false, "a@R/b": false,
	} {
		if got := s.Valid(id); got != want {
			t.Errorf("%q is valid: %t", id, got)
		}
	}
	for _, test := range []struct {
		conn, acl string
		want      bool
	}{
		{"bob", "bob", true}, {"bob", "eve", false}, {"super", "eve", true}, {"bob", "super", false}, {"bob", "anyone@X", true},
	} {
		if got := s.Matches(test.conn, test.acl); got != test.want {
			t.Errorf("%s is meant by %s: %t", test.conn, test.acl, got)
		}
	}
	if SASL("").Matches("bob", "") {
		t.Error("nobody is anyone")
	}
	p := New(Options{Schemes: []Scheme{s}})
	bob := []wire.ID{home, {Scheme: "sasl", ID: "bob"}}
	fixed, ok := p.fixedUp([]wire.ACL{acl(31, "auth", ""), acl(1, "sasl", "anyone@X")}, bob)
	if !ok || !slices.Equal(fixed, []wire.ACL{acl(31, "sasl", "bob"), acl(1, "sasl", "anyone@X")}) {
		t.Errorf("the list becomes %v", fixed)
	}
	if _, v := p.Add(bob, remote, "sasl", []byte("bob")); v != Failed {
		t.Error("an auth packet is enough")
	}
	if p.UserNames(bob) != "10.0.0.1,bob" || New(Options{}).UserNames(bob) != "10.0.0.1" {
		t.Error("the user is not named, or without the scheme")
	}
	if _, ok := New(Options{}).fixedUp([]wire.ACL{acl(31, "auth", "")}, bob); ok {
		t.Error("ids count without the scheme")
	}
}

func TestEnsemble(t *testing.T) {
	for _, test := range []struct {
		names []string
		data  string
		want  Verdict
	}{
		{nil, "east", Accepted}, {[]string{"east", "west"}, "west", Accepted}, {[]string{"east"}, "", Accepted},
		{[]string{"east"}, "west", Elsewhere}, {[]string{"east"}, "east,west", Elsewhere},
	} {
		m := metrics.New()
		p := New(Options{Schemes: []Scheme{Ensemble(test.names, m)}})
		ids, v := p.Add([]wire.ID{home}, remote, "ensemble", []byte(test.data))
		if v != test.want || len(ids) != 1 {
			t.Errorf("%s of %v: %v, %v", test.data, test.names, v, ids)
		}
		skipped := test.data == "" || test.names == nil
		for counter, want := range map[*metrics.Counter]bool{
			&m.EnsembleAuthSkip: skipped, &m.EnsembleAuthSuccess: !skipped && v == Accepted, &m.EnsembleAuthFail: v == Elsewhere,
		} {
			if got := counter.Value() == 1; got != want {
				t.Errorf("%s of %v is counted wrong", test.data, test.names)
			}
		}
		if _, ok := p.fixedUp([]wire.ACL{acl(1, "ensemble", "east")}, nil); ok {
			t.Error("a list may name an ensemble")
		}
	}
}

func TestKey(t *testing.T) {
	for _, test := range []struct {
		key  []byte
		data string
		want Verdict
	}{
		{nil, "7", Accepted}, {nil, "x", Accepted}, {[]byte("3"), "9", Accepted}, {[]byte("3"), "-9", Accepted}, {[]byte("0"), "8", Accepted},
		{[]byte("3"), "8", Failed}, {[]byte("3"), "x", Failed}, {[]byte(""), "3", Failed}, {[]byte("3"), "99999999999", Failed},
	} {
		c := Conn{Data: func(path string) []byte {
			if path != "/key" {
				t.Errorf("asked for %s", path)
			}
			return test.key
		}}
		ids, v := Key().Authenticate(c, []byte(test.data))
		if v != test.want || v == Accepted && !slices.Equal(ids, []wire.ID{{Scheme: "key"}}) {
			t.Errorf("%s of %s: %v, %v", test.data, test.key, v, ids)
		}
	}
	if _, v := Key().Authenticate(Conn{}, nil); v != Failed {
		t.Error("null is a key")
	}
}
