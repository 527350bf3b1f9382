package auth

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

var (
	alice  = wire.ID{Scheme: "digest", ID: digestID("alice:secret")}
	bob    = wire.ID{Scheme: "digest", ID: digestID("bob:secret")}
	home   = wire.ID{Scheme: "ip", ID: "10.0.0.1"}
	super  = wire.ID{Scheme: "super"}
	remote = Conn{Remote: netip.MustParseAddr("10.0.0.1")}
)

func digestID(userPassword string) string { return Digest("", "").(digest).id(userPassword) }

func acl(perms wire.Perms, scheme, id string) wire.ACL {
	return wire.ACL{Perms: perms, ID: wire.ID{Scheme: scheme, ID: id}}
}

func TestAllowed(t *testing.T) {
	p := New(Options{})
	mixed := []wire.ACL{
		{Perms: wire.PermRead, ID: wire.AnyoneID}, {Perms: wire.PermWrite | wire.PermAdmin, ID: alice},
		acl(wire.PermCreate, "ip", "10.0.0.0/8"),
	}
	for _, test := range []struct {
		name  string
		acl   []wire.ACL
		perms wire.Perms
		ids   []wire.ID
		want  bool
	}{
		{"empty list", nil, wire.PermAdmin, nil, true},
		{"everyone may read", mixed, wire.PermRead, nil, true},
		{"nobody may delete", mixed, wire.PermDelete, []wire.ID{alice, bob, home}, false},
		{"alice writes", mixed, wire.PermWrite, []wire.ID{home, alice}, true},
		{"bob does not", mixed, wire.PermWrite, []wire.ID{home, bob}, false},
		{"home creates", mixed, wire.PermCreate, []wire.ID{home}, true},
		{"elsewhere does not", mixed, wire.PermCreate, []wire.ID{{Scheme: "ip", ID: "11.0.0.1"}}, false},
		{"one of two", mixed, wire.PermRead | wire.PermAdmin, nil, true},
		{"super deletes", mixed, wire.PermDelete, []wire.ID{super}, true},
		{"the right id in another scheme", mixed, wire.PermWrite, []wire.ID{{Scheme: "ip", ID: alice.ID}}, false},
		{"no permission at all", []wire.ACL{{Perms: 0, ID: wire.AnyoneID}}, wire.PermRead, []wire.ID{alice}, false},
		{"unknown scheme in the list", []wire.ACL{acl(wire.PermAll, "sasl", "x")}, wire.PermRead, []wire.ID{{Scheme: "sasl", ID: "x"}}, false},
		{"super in the list is nobody", []wire.ACL{acl(wire.PermAll, "super", "")}, wire.PermRead, []wire.ID{alice}, false},
		{"somebody of the world", []wire.ACL{acl(wire.PermAll, "world", "someone")}, wire.PermRead, []wire.ID{alice}, false},
	} {
		if got := p.Allowed(test.acl, test.perms, test.ids); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
		if !New(Options{SkipACL: true}).Allowed(test.acl, test.perms, test.ids) {
			t.Errorf("%s: refused although nothing is checked", test.name)
		}
	}
}

// fixedUp is FixUp without a limit.
func (p *Policy) fixedUp(acl []wire.ACL, ids []wire.ID) (fixed []wire.ACL, ok bool) {
	fixed, code := p.FixUp(acl, ids, 0)
	return fixed, code == wire.ErrOK
}

func TestFixUp(t *testing.T) {
	p := New(Options{})
	read := func(id wire.ID) wire.ACL { return wire.ACL{Perms: wire.PermRead, ID: id} }
	for _, test := range []struct {
		name string
		acl  []wire.ACL
		ids  []wire.ID
		want []wire.ACL // nil is invalid
	}{
		{"null", nil, nil, nil},
		{"empty", []wire.ACL{}, nil, nil},
		{"world", wire.OpenACL(), nil, wire.OpenACL()},
		{"no permissions", []wire.ACL{{ID: wire.AnyoneID}}, nil, []wire.ACL{{ID: wire.AnyoneID}}},
		{"unknown permissions stay", []wire.ACL{{Perms: 0x7fe1, ID: wire.AnyoneID}}, nil, []wire.ACL{{Perms: 0x7fe1, ID: wire.AnyoneID}}},
		{"someone of the world", []wire.ACL{acl(1, "world", "someone")}, nil, nil},
		{"duplicates", []wire.ACL{read(alice), read(bob), read(alice)}, nil, []wire.ACL{read(alice), read(bob)}},
		{"the same id with other permissions", []wire.ACL{read(alice), {Perms: wire.PermWrite, ID: alice}}, nil,
			[]wire.ACL{read(alice), {Perms: wire.PermWrite, ID: alice}}},
		{"auth", []wire.ACL{acl(1, "auth", "")}, []wire.ID{home, alice, bob}, []wire.ACL{read(alice), read(bob)}},
		{"auth, whatever its id", []wire.ACL{acl(1, "auth", "bob")}, []wire.ID{alice}, []wire.ACL{read(alice)}},
		{"auth of nobody", []wire.ACL{acl(1, "auth", "")}, nil, nil},
		{"an address is no proof", []wire.ACL{acl(1, "auth", "")}, []wire.ID{home}, nil},
		{"nor is super one", []wire.ACL{acl(1, "auth", "")}, []wire.ID{super}, nil},
		{"auth of nobody beside others", []wire.ACL{read(alice), acl(1, "auth", "")}, []wire.ID{home}, nil},
		{"auth of a scheme that is gone", []wire.ACL{acl(1, "auth", "")}, []wire.ID{{Scheme: "sasl", ID: "x"}, alice}, []wire.ACL{read(alice)}},
		{"auth keeps its place", []wire.ACL{read(home), acl(1, "auth", ""), read(wire.AnyoneID)}, []wire.ID{bob},
			[]wire.ACL{read(home), read(bob), read(wire.AnyoneID)}},
		{"digest", []wire.ACL{acl(1, "digest", "a:b")}, nil, []wire.ACL{acl(1, "digest", "a:b")}},
		{"bad digest", []wire.ACL{acl(1, "digest", "a")}, nil, nil},
		{"bad ip", []wire.ACL{acl(1, "ip", "10.0.0.0/40")}, nil, nil},
		{"unknown scheme", []wire.ACL{read(alice), acl(1, "sasl", "x")}, nil, nil},
		{"super", []wire.ACL{acl(1, "super", "")}, []wire.ID{super}, nil},
		{"no scheme", []wire.ACL{acl(1, "", "")}, nil, nil},
	} {
		got, ok := p.fixedUp(test.acl, test.ids)
		if ok != (test.want != nil) || ok && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, %t, want %v", test.name, got, ok, test.want)
		}
	}
}

// TestFixUpIsBounded: each entry with the scheme "auth" stands for all ids, so that a short list can become an endless one.
func TestFixUpIsBounded(t *testing.T) {
	p := New(Options{})
	many := func(n int, scheme string) (list []wire.ACL) {
		for i := range n {
			list = append(list, acl(1, scheme, fmt.Sprintf("%d:x", i)))
		}
		return list
	}
	var ids []wire.ID
	for i := range 3000 {
		ids = append(ids, wire.ID{Scheme: "digest", ID: fmt.Sprintf("%d:x", i)})
	}
	for _, c := range []struct {
		acl        []wire.ACL
		ids        []wire.ID
		limitBytes int
		entries    int
		want       wire.ErrCode
	}{
		{many(50_000, "auth"), ids, 2 << 20, 0, wire.ErrBadArguments},
		{many(1, "auth"), ids, 2 << 20, 3000, wire.ErrOK},
		{many(2, "auth"), ids[:2], 4 * 21, 4, wire.ErrOK},
		{many(2, "auth"), ids[:2], 4*21 - 1, 0, wire.ErrBadArguments},
		{many(2, "digest"), nil, 2 * 21, 2, wire.ErrOK},
		{many(2, "digest"), nil, 2*21 - 1, 0, wire.ErrBadArguments},
		{append(many(2, "digest"), acl(1, "none", "")), nil, 1, 0, wire.ErrInvalidACL},
		{many(2, "auth"), nil, 1, 0, wire.ErrInvalidACL},
	} {
		fixed, code := p.FixUp(c.acl, c.ids, c.limitBytes)
		if code != c.want || len(fixed) != c.entries {
			t.Errorf("%d entries, %d ids, %d bytes: %d entries, code %d, want %d, %d", len(c.acl), len(c.ids), c.limitBytes, len(fixed), code, c.entries, c.want)
		}
		if n := len(wire.AppendACLs(nil, fixed)) - 4; c.want == wire.ErrOK && n > c.limitBytes {
			t.Errorf("%d bytes, limited to %d", n, c.limitBytes)
		}
	}
}

func TestMasked(t *testing.T) {
	list := []wire.ACL{
		acl(31, "digest", "alice:hash"), acl(1, "digest", "a:b:c"), acl(1, "digest", "nocolon"), acl(1, "ip", "1:2"), {Perms: 1, ID: wire.AnyoneID},
	}
	want := []wire.ACL{
		acl(31, "digest", "alice:x"), acl(1, "digest", "a:x"), acl(1, "digest", "nocolon"), acl(1, "ip", "1:2"), {Perms: 1, ID: wire.AnyoneID},
	}
	if got := Masked(list); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if list[0].ID.ID != "alice:hash" {
		t.Error("the list itself is changed")
	}
}

// TestAuthenticating follows a connection that authenticates several times.
func TestAuthenticating(t *testing.T) {
	p := New(Options{Schemes: []Scheme{Digest(digestID("root:r"), "")}})
	ids := p.Initial(remote)
	steps := []struct {
		scheme, data string
		ok           bool
		want         []wire.ID
	}{
		{"digest", "alice:secret", true, []wire.ID{home, alice}},
		{"digest", "alice:secret", true, []wire.ID{home, alice}},
		{"ip", "", true, []wire.ID{home, alice}},
		{"digest", "bob:secret", true, []wire.ID{home, alice, bob}},
		{"world", "", false, []wire.ID{home, alice, bob}},
		{"auth", "", false, []wire.ID{home, alice, bob}},
		{"super", "", false, []wire.ID{home, alice, bob}},
		{"sasl", "", false, []wire.ID{home, alice, bob}},
		{"", "", false, []wire.ID{home, alice, bob}},
		{"digest", "root:r", true, []wire.ID{home, alice, bob, {Scheme: "digest", ID: digestID("root:r")}, super}},
	}
	for i, s := range steps {
		before := append([]wire.ID(nil), ids...)
		all, v := p.Add(ids, remote, s.scheme, []byte(s.data))
		if (v == Accepted) != s.ok || !reflect.DeepEqual(all, s.want) {
			t.Errorf("%d: %v, %v", i, all, v)
		}
		if !reflect.DeepEqual(ids, before) {
			t.Errorf("%d: the ids of before are changed", i)
		}
		ids = all
	}
	want := []wire.ClientInfo{{AuthScheme: "digest", User: "alice"}, {AuthScheme: "digest", User: "bob"},
		{AuthScheme: "digest", User: "root"}, {AuthScheme: "ip", User: "10.0.0.1"}, {AuthScheme: "super"}}
	if got := p.Users(ids); !reflect.DeepEqual(got, want) {
		t.Errorf("users are %v", got)
	}
	if got := p.UserNames(append(ids, wire.ID{Scheme: "digest"})); got != "10.0.0.1,alice,bob,root" {
		t.Errorf("users are %s", got)
	}
}

// tokens is a scheme of somebody's own.
type tokens struct{}

func (tokens) Name() string { return "token" }
func (tokens) Authenticate(_ Conn, data []byte) ([]wire.ID, Verdict) {
	if len(data) == 0 {
		return nil, Failed
	}
	return []wire.ID{{Scheme: "token", ID: string(data)}}, Accepted
}
func (tokens) Valid(id string) bool          { return id != "" }
func (tokens) Matches(conn, acl string) bool { return conn == acl }
func (tokens) Proven() bool                  { return true }
func (tokens) User(id string) string         { return id }

func TestOwnScheme(t *testing.T) {
	p := New(Options{Schemes: []Scheme{tokens{}}})
	if _, v := p.Add(nil, remote, "token", nil); v != Failed {
		t.Error("authenticated without a token")
	}
	ids, v := p.Add(p.Initial(remote), remote, "token", []byte("x"))
	fixed, valid := p.fixedUp([]wire.ACL{acl(wire.PermAll, "auth", "")}, ids)
	if v != Accepted || !valid || !p.Allowed(fixed, wire.PermAdmin, ids) || p.Allowed(fixed, wire.PermRead, p.Initial(remote)) {
		t.Errorf("%v, %v", ids, fixed)
	}
}

func TestEnforcement(t *testing.T) {
	for _, test := range []struct {
		enforced []string
		ids      []wire.ID
		want     bool
	}{
		{nil, nil, true},
		{[]string{"digest"}, []wire.ID{home}, false},
		{[]string{"digest"}, []wire.ID{home, bob}, true},
		{[]string{"sasl", "digest"}, []wire.ID{home, bob}, true},
		{[]string{"sasl"}, []wire.ID{home, bob, super}, false},
		{[]string{"ip"}, []wire.ID{home}, true},
		{[]string{"digest"}, nil, false},
	} {
		if got := New(Options{Enforced: test.enforced}).Admits(test.ids); got != test.want {
			t.Errorf("%v of %v: %t", test.enforced, test.ids, got)
		}
	}
}

func TestWithoutDigest(t *testing.T) {
	p := New(Options{NoDigest: true})
	if _, v := p.Add(nil, remote, "digest", []byte("alice:secret")); v != Failed || p.Knows("digest") || !p.Knows("ip") {
		t.Errorf("digest is still there: %v", v)
	}
	if _, ok := p.fixedUp([]wire.ACL{{Perms: 1, ID: alice}}, nil); ok {
		t.Error("a list may still name digest ids")
	}
	if p.Allowed([]wire.ACL{{Perms: 1, ID: alice}}, wire.PermRead, []wire.ID{alice}) {
		t.Error("digest ids still count")
	}
}
