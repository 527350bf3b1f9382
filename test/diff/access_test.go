//go:build diff

package diff

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

// talk is what one server says to a few clients, as text. The clients compute what a server wants to see, so that the two
// servers are not sent the same bytes; apart from that the texts have to be equal.
type talk struct {
	t    *testing.T
	addr string
	*speech
	conns map[string]*conn
	xid   int32
	text  strings.Builder
}

// compare lets one server of each side of a pair talk, and wants to hear the same. Of an ensemble the last one leads.
func compare(t *testing.T, p *pair, member int, script func(*talk)) {
	t.Helper()
	var texts [2]string
	for i, s := range []*side{p.ours, p.theirs} {
		k := &talk{t: t, addr: s.addrs[member], speech: newSpeech(), conns: make(map[string]*conn)}
		script(k)
		for _, c := range k.conns {
			c.tcp.Close()
		}
		texts[i] = k.text.String()
	}
	if texts[0] == texts[1] {
		t.Logf("%d lines are equal", strings.Count(texts[0], "\n"))
		return
	}
	ours, theirs := strings.SplitAfter(texts[0], "\n"), strings.SplitAfter(texts[1], "\n")
	for i := range max(len(ours), len(theirs)) {
		if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
			from := max(0, i-6)
			t.Fatalf("line %d differs\nzkserver:\n%s\napache:\n%s", i+1,
				strings.Join(ours[from:min(len(ours), i+3)], ""), strings.Join(theirs[from:min(len(theirs), i+3)], ""))
		}
	}
}

// open opens a session for a client.
func (k *talk) open(names ...string) {
	k.t.Helper()
	for _, name := range names {
		if c := k.conns[name]; c != nil {
			c.tcp.Close()
		}
		c, err := dial(k.addr)
		must(k.t, err)
		k.conns[name] = c
		c.write(connectFrame(connection().Append(nil)))
		frame, err := c.read()
		must(k.t, err)
		fmt.Fprintf(&k.text, "%s: %s\n", name, k.connected(frame, c).text)
	}
}

var unpredictable = regexp.MustCompile(`nonce=\\"[^"]*"|rspauth=[0-9a-f]{32}`)

// ask sends a request, and returns the answer with the body; nil if the connection has ended. Then the client comes back.
func (k *talk) ask(name string, op wire.OpCode, b body) []byte {
	k.t.Helper()
	c := k.conns[name]
	k.xid++
	c.write(framed(nil, wire.RequestHeader{Xid: k.xid, Type: op}, b))
	frame, err := c.read()
	must(k.t, err)
	said := "closed"
	if frame != nil {
		said = unpredictable.ReplaceAllString(k.reply(frame, op).text, "~")
	}
	fmt.Fprintf(&k.text, "%s: %v %d: %s\n", name, op, k.xid, said)
	if frame != nil {
		code := wire.ErrCode(wire.NewDecoder(frame[12:]).Int32())
		if code != wire.ErrAuthFailed && code != wire.ErrSessionClosedRequireSASL && op != wire.OpCloseSession {
			return frame
		}
		// It has to be the last one.
		more, err := c.read()
		must(k.t, err)
		fmt.Fprintf(&k.text, "%s: then %x\n", name, more)
	}
	k.open(name)
	return nil
}

func (k *talk) token(name string, token []byte) []byte {
	k.t.Helper()
	frame := k.ask(name, wire.OpSASL, body{}.buf(token))
	if frame == nil {
		return nil
	}
	return wire.NewDecoder(frame[16:]).Buffer()
}

// login authenticates a client by SASL.
func (k *talk) login(name, user, password string) {
	k.t.Helper()
	challenge := k.token(name, []byte{})
	if challenge == nil {
		k.t.Fatalf("no challenge\n%s", k.text.String())
	}
	client := sasl.NewClient("zookeeper", "zk-sasl-md5", user, password, "cnonce")
	response, err := client.Respond(challenge)
	must(k.t, err)
	if proof := k.token(name, response); proof != nil {
		_, err := client.Respond(proof)
		must(k.t, err)
	}
}

func (k *talk) digest(name, userPassword string) {
	k.t.Helper()
	k.ask(name, wire.OpAuth, authPacket("digest", []byte(userPassword)))
}

func (k *talk) who(name string) { k.t.Helper(); k.ask(name, wire.OpWhoAmI, nil) }

const providerPackage = "org.apache.zookeeper.server.auth."

// saslLines are lines of zoo.cfg for a server that speaks SASL.
func saslLines(t *testing.T, more ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jaas.conf")
	text := "Server { " + providerPackage + "DigestLoginModule required\n" +
		` user_bob="b" user_alice="a\"\\é" user_super="s" user_admin="x" "user_eve@HOME"="e" user_empty=""; };` + "\n"
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return append([]string{
		"java.security.auth.login.config=" + file,
		"authProvider.sasl=" + providerPackage + "SASLAuthenticationProvider",
		"superUser=admin", "superUser.2=root", "SASLAuthenticationProvider.superPassword=other", "letAnySaslUserDoX=all",
	}, more...)
}

// everyOp are requests of every type from a client that may send none.
func (k *talk) everyOp(name string) {
	k.t.Helper()
	for op := wire.OpCode(-12); op <= 110; op++ {
		if op == wire.OpSASL || op == wire.OpAuth {
			continue
		}
		k.ask(name, op, body{}.str("/").int(0).int(0))
	}
}

// TestAccess compares everything about who a client is: SASL, enforced schemes, providers.
func TestAccess(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  func(t *testing.T) []string
		script func(*talk)
	}{
		{"WithoutSASL", func(t *testing.T) []string { return nil }, withoutSASL},
		{"SASL", func(t *testing.T) []string { return saslLines(t) }, withSASL},
		{"FailedIsAllowed", func(t *testing.T) []string { return saslLines(t, "allowSaslFailedClients=true") }, failing},
		{"Required", func(t *testing.T) []string {
			return saslLines(t, "sessionRequireClientSASLAuth=true", "allowSaslFailedClients=true")
		}, enforced},
		{"EnforcedDigest", func(t *testing.T) []string {
			return saslLines(t, "enforce.auth.enabled=true", "enforce.auth.schemes=digest", "allowSaslFailedClients=true")
		}, enforced},
		{"EnforcedBoth", func(t *testing.T) []string {
			return saslLines(t, "enforce.auth.enabled=true", "enforce.auth.schemes=digest , sasl")
		}, enforced},
		{"EnforcedAddress", func(t *testing.T) []string {
			return []string{"enforce.auth.enabled=true", "enforce.auth.schemes=ip"}
		}, withoutSASL},
		{"Providers", func(t *testing.T) []string {
			return []string{"authProvider.e=" + providerPackage + "EnsembleAuthenticationProvider", "ensembleAuthName=east, west",
				"authProvider.k=" + providerPackage + "KeyAuthenticationProvider", "DigestAuthenticationProvider.digestAlg=SHA-256"}
		}, otherProviders},
		{"AnyEnsemble", func(t *testing.T) []string {
			return []string{"authProvider.e=" + providerPackage + "EnsembleAuthenticationProvider"}
		}, otherProviders},
		{"NoDigest", func(t *testing.T) []string { return []string{"DigestAuthenticationProvider.enabled=false"} }, withoutSASL},
		{"SkipACL", func(t *testing.T) []string { return []string{"skipACL=yes"} }, withoutSASL},
	} {
		t.Run(c.name, func(t *testing.T) { compare(t, servers(t, 1, c.lines(t)...), 0, c.script) })
	}
}

// TestEagerACLCheck compares what members say that look at access lists before they ask the leader.
func TestEagerACLCheck(t *testing.T) {
	p := servers(t, 3, "enableEagerACLCheck=true")
	for member, name := range map[int]string{0: "follower", 2: "leader"} {
		t.Run(name, func(t *testing.T) {
			compare(t, p, member, func(k *talk) {
				k.open("a", "b")
				k.ask("a", wire.OpCreate, create("/l3", nil, open, 0)) // one that no list is good for
				k.digest("a", "alice:a")
				k.lists("a", "b")
				for _, path := range []string{"/l3", "nopath", "/zookeeper", "/zookeeper/config/x", "/none/x", "/l3/", ""} {
					k.ask("b", wire.OpCreate, create(path, nil, aclList{{31, "none", ""}}, 0))
					k.ask("b", wire.OpCreateContainer, create(path, nil, aclList{{31, "none", ""}}, 0))
					k.ask("b", wire.OpSetACL, setACL(path, nil, -1))
					k.ask("b", wire.OpDelete, pathVersion(path, -1))
					k.ask("b", wire.OpSetData, setData(path, nil, 7))
				}
			})
		})
	}
}

func withoutSASL(k *talk) {
	k.open("a", "b")
	for _, token := range [][]byte{{}, []byte("x"), nil} {
		k.ask("a", wire.OpSASL, body{}.buf(token))
	}
	k.ask("a", wire.OpSASL, nil)
	k.ask("a", wire.OpSASL, body{}.int(7))
	k.ask("a", wire.OpSASL, append(body{}.buf([]byte("x")), 1, 2, 3))
	for _, scheme := range []string{"digest", "ip", "sasl", "ensemble", "key", "x509", "world"} {
		k.ask("a", wire.OpAuth, authPacket(scheme, []byte("alice:a")))
		k.who("a")
	}
	k.digest("a", "alice:a")
	k.lists("a", "b")
	for _, password := range []string{"\xe9", "p\xc3\xa9", "\xed\xa0\x80x", "\xf4\x90\x80\x80", "\xe2\x82"} {
		k.ask("a", wire.OpCreate, create("/p", nil, open, 0))
		k.digest("a", "latin:"+password)
		k.ask("a", wire.OpSetACL, setACL("/p", aclList{{31, "auth", ""}}, -1))
		k.ask("a", wire.OpGetACL, onlyPath("/p"))
		k.digest("b", "latin:"+password)
		k.ask("b", wire.OpDelete, pathVersion("/p", -1))
		k.ask("b", wire.OpSetACL, setACL("/p", open, -1))
		k.ask("a", wire.OpDelete, pathVersion("/p", -1))
		k.open("a", "b")
	}
}

// lists lets one client make nodes with every kind of access list, and both try what they may.
func (k *talk) lists(owner, other string) {
	k.t.Helper()
	for i, list := range []aclList{
		{{31, "auth", ""}}, {{31, "sasl", "bob"}}, {{31, "sasl", "eve@HOME"}}, {{31, "sasl", "a@b@c"}}, {{31, "sasl", "a/b/c@d"}}, {{31, "sasl", ""}},
		{{1, "sasl", "all"}, {16, "auth", "x"}}, {{31, "super", ""}}, {{31, "digest", "alice:x"}}, {{31, "ensemble", "east"}}, {{31, "key", ""}},
		{{31, "key", "7"}}, {{31, "x509", "CN=a"}}, {{2, "ip", "127.0.0.1"}, {1, "world", "anyone"}}, {{31, "ip", "10.0.0.0/8"}}, {{1, "world", "anyone"}},
		{{16, "world", "anyone"}, {1, "digest", "alice:x"}}, {{31, "sasl", "super"}},
	} {
		path := fmt.Sprintf("/l%d", i)
		k.ask(owner, wire.OpCreate2, create(path, []byte("x"), list, 0))
		for _, name := range []string{owner, other} {
			k.ask(name, wire.OpGetACL, onlyPath(path))
			k.ask(name, wire.OpGetData, read(path, false))
			k.ask(name, wire.OpGetChildren, read(path, false))
			k.ask(name, wire.OpGetChildren2, read(path, false))
			k.ask(name, wire.OpGetAllChildrenNumber, onlyPath(path))
			k.ask(name, wire.OpSetData, setData(path, []byte("y"), -1))
			k.ask(name, wire.OpCreate, create(path+"/kid", nil, list, 0))
			k.ask(name, wire.OpMulti, body{}.part(wire.OpCheck, pathVersion(path, -1)).end())
			k.ask(name, wire.OpMultiRead, body{}.part(wire.OpGetData, read(path, false)).part(wire.OpGetChildren, read(path, false)).end())
			k.ask(name, wire.OpDelete, pathVersion(path+"/kid", -1))
			k.ask(name, wire.OpSetACL, setACL(path, list, -1))
		}
		k.ask(owner, wire.OpSetACL, setACL(path, open, -1))
	}
	k.ask(owner, wire.OpSetData, setData("/zookeeper/config", nil, -1))
	k.ask(owner, wire.OpSetACL, setACL("/zookeeper/config", open, -1))
	k.ask(owner, wire.OpGetACL, onlyPath("/zookeeper/config"))
	k.ask(owner, wire.OpGetACL, onlyPath("/zookeeper/quota"))
}

func withSASL(k *talk) {
	k.open("a", "b")
	k.who("a")
	k.login("a", "bob", "b")
	k.who("a")
	k.lists("a", "b")
	k.login("b", "alice", "a\"\\é")
	k.who("b")
	k.token("b", []byte{}) // the exchange is over
	k.login("b", "eve@HOME", "e")
	k.who("b")
	k.lists("b", "a")
	k.open("b")
	k.login("b", "admin", "x")
	k.who("b")
	k.lists("b", "a")
	k.open("b")
	k.login("b", "super", "other")
	k.who("b")
	k.lists("b", "a")
	failing(k)
}

// failing tries what goes wrong.
func failing(k *talk) {
	k.open("c")
	// Not with the password of who was last: Apache ZooKeeper takes it for anybody's until 3.9.3 (ZOOKEEPER-4839).
	for _, account := range [][2]string{{"bob", "x"}, {"nobody", "n"}, {"super", "s"}, {"empty", ""}} {
		k.login("c", account[0], account[1])
		k.who("c")
		k.open("c")
	}
	for _, first := range [][]byte{[]byte("x"), []byte("username=\"bob\""), make([]byte, 5000)} {
		k.token("c", first)
		k.who("c")
		k.open("c")
	}
	k.ask("c", wire.OpSASL, body{}.int(-1))
	k.ask("c", wire.OpSASL, nil)
	k.ask("c", wire.OpSASL, body{}.int(9))
	k.token("c", []byte{})
	k.token("c", []byte{}) // in the place of the response
	k.who("c")
	k.open("c")
	k.token("c", []byte{})
	k.token("c", make([]byte, 5000))
	k.token("c", []byte{})
	k.who("c")
	k.open("c")
	k.digest("c", "alice:a")
	k.login("c", "bob", "x")
	k.who("c")
	k.open("c")
	k.login("c", "bob", "b")
	k.digest("c", "alice:a")
	k.who("c")
}

// enforced tries everything without authentication, with the wrong one and with the right one.
func enforced(k *talk) {
	k.open("a", "b", "c")
	k.everyOp("a")
	for _, auth := range []struct{ scheme, data string }{{"ip", ""}, {"digest", "alice:a"}, {"digest", "super:super"}, {"world", ""}, {"sasl", "bob"}} {
		k.ask("b", wire.OpAuth, authPacket(auth.scheme, []byte(auth.data)))
		k.ask("b", wire.OpGetData, read("/", false))
		k.open("b")
	}
	k.login("a", "bob", "b")
	k.who("a")
	k.ask("a", wire.OpPing, nil)
	k.ask("a", wire.OpCreate, create("/a", nil, open, 0))
	k.ask("a", wire.OpCloseSession, nil)
	failing(k)
}

func otherProviders(k *talk) {
	k.open("a", "b")
	for _, name := range []string{"east", "west", "north", "", "east, west", " east"} {
		k.ask("a", wire.OpAuth, authPacket("ensemble", []byte(name)))
		k.who("a")
	}
	k.ask("a", wire.OpAuth, authPacket("ensemble", nil))
	keys := func() {
		for _, key := range []string{"6", "-7", "", "x", "0", "+14", "99999999999"} {
			k.ask("a", wire.OpAuth, authPacket("key", []byte(key)))
			k.who("a")
		}
		k.ask("a", wire.OpAuth, authPacket("key", nil))
	}
	keys()
	k.ask("b", wire.OpCreate, create("/key", []byte("7"), open, 0))
	keys()
	k.ask("b", wire.OpSetData, setData("/key", []byte("0"), -1))
	keys()
	k.ask("b", wire.OpSetData, setData("/key", []byte("x"), -1))
	keys()
	k.ask("b", wire.OpSetData, setData("/key", nil, -1))
	keys()
	k.digest("a", "alice:a")
	k.lists("a", "b")
}
