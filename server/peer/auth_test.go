package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

// How far a server has come on the way to SASL everywhere, as quorum.auth.enableSasl, learnerRequireSasl and
// serverRequireSasl say.
const (
	without = iota
	enabled
	proving
	required
)

func saslOf(stage int, password string) SASL {
	if stage == without {
		return SASL{}
	}
	return SASL{
		Accepts: true, Proves: stage >= proving, Required: stage == required, User: "zk", OwnPassword: password,
		Password: func(user string) (string, bool) { return "secret", user == "zk" },
		Nonce:    func() string { return "0123456789" },
	}
}

func startSASL(t *testing.T, id wire.ServerID, c SASL, base Config) *server {
	t.Helper()
	base.Self, base.SASL = id, c
	return startWith(t, base)
}

// TestSASL puts two servers together that have come equally far, or one further than the other: votes go both ways, whoever
// opens the connection, and a learner's packets pass. Those two stages apart cannot be connected.
func TestSASL(t *testing.T) {
	for small := without; small <= required; small++ {
		for large := without; large <= required; large++ {
			if small-large > 1 || large-small > 1 {
				continue
			}
			t.Run("", func(t *testing.T) {
				t.Parallel()
				members := newMembers(t, 1, 2)
				one := startSASL(t, 1, saslOf(small, "secret"), testConfig(members, 1))
				two := startSASL(t, 2, saslOf(large, "secret"), testConfig(members, 2))
				one.vote(2, 1)
				two.vote(1, 2)
				one.awaitVote(2, 2)
				two.awaitVote(1, 1)
				one.vote(2, 3)
				two.awaitVote(1, 3)

				two.OpenQuorumPort()
				one.dialLeader(1, 2, patience)
				awaitInput(one, "leader", func(in node.LeaderConnected) bool { return in.Conn == 1 })
				one.send(1, numbered(1))
				got := awaitInput(two, "learner", func(in node.PacketReceived) bool { return true })
				checkNumbered(t, []wire.QuorumPacket{got.Packet}, 1)
				two.send(got.Conn, numbered(2))
				checkNumbered(t, one.awaitPackets(1, 1), 2)
			})
		}
	}
}

// Who does not authenticate itself where that is required, or with a wrong password, is not heard.
func TestSASLRefuses(t *testing.T) {
	for name, stranger := range map[string]SASL{
		"without": {}, "not proving": saslOf(enabled, "secret"), "wrong password": saslOf(proving, "wrong"),
		"wrong user": func() SASL { c := saslOf(proving, "secret"); c.User = "eve"; return c }(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := newMembers(t, 1, 2)
			guarded := startSASL(t, 1, saslOf(required, "secret"), testConfig(members, 1))
			other := startSASL(t, 2, stranger, testConfig(members, 2))
			guarded.OpenQuorumPort()
			other.vote(1, 1)
			other.dialLeader(3, 1, time.Second)
			other.send(3, numbered(1))
			err := other.awaitClosed(3)
			if stranger.Proves && !errors.Is(err, ErrNotAuthenticated) {
				t.Errorf("the connection ends with %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the password", err)
			}
			if seen := guarded.seen(); len(seen) > 0 {
				t.Errorf("the guarded server hears %v", seen)
			}
		})
	}
}

// A server that does not know the password is no leader for one that proves its own.
func TestSASLOfALeader(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	fake := saslOf(required, "secret")
	fake.Password = func(string) (string, bool) { return "other", true }
	startSASL(t, 1, fake, testConfig(members, 1)).OpenQuorumPort()
	learner := startSASL(t, 2, saslOf(required, "secret"), testConfig(members, 2))
	learner.dialLeader(5, 1, patience)
	if err := learner.awaitClosed(5); !errors.Is(err, ErrNotAuthenticated) {
		t.Errorf("the connection ends with %v", err)
	}
}

// pipe is both ends of a connection over loopback.
func pipe(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	deadline := time.Now().Add(patience)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	return a, b
}

// The bytes are those of Apache ZooKeeper: the token of a packet with status 0 begins, each side answers, 1 ends.
func TestSASLBytes(t *testing.T) {
	client, server := pipe(t)
	admitted := make(chan error, 1)
	go func() {
		_, err := saslOf(required, "").admit(server)
		admitted <- err
	}()
	magic := "\x5f\x24\x35\x01\x35\x01\xed\xcc"
	read := func(n int) string {
		b := make([]byte, n)
		if _, err := io.ReadFull(client, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	io.WriteString(client, magic+"\x00\x00\x00\x00\x00\x00\x00\x00")
	challenge := `realm="zk-quorum-sasl-md5",nonce="0123456789",charset=utf-8,algorithm=md5-sess`
	if got, want := read(16+len(challenge)), magic+"\x00\x00\x00\x00\x00\x00\x00"+string(rune(len(challenge)))+challenge; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	c := sasl.NewClient(saslService, saslHost, "zk", "secret", "c")
	response, err := c.Respond([]byte(challenge))
	if err != nil {
		t.Fatal(err)
	}
	client.Write(wire.QuorumAuthPacket{Token: response}.Append(nil))
	if got, want := read(16), magic+"\x00\x00\x00\x01\x00\x00\x00\x28"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if _, err := c.Respond([]byte(read(40))); err != nil || !c.Done() {
		t.Errorf("the server's proof: %v", err)
	}
	if err := <-admitted; err != nil {
		t.Error(err)
	}
}

// A user may only act as itself (SaslQuorumServerCallbackHandler).
func TestSASLForSomebodyElse(t *testing.T) {
	client, server := pipe(t)
	admitted := make(chan error, 1)
	go func() {
		_, err := saslOf(enabled, "").admit(server)
		admitted <- err
	}()
	sendToken(client, wire.QuorumAuthInProgress, []byte{})
	if _, err := wire.ReadQuorumAuthPacket(client, 1<<10); err != nil {
		t.Fatal(err)
	}
	// As above, but with authzid="root", of which the proof is made, too; the password is right.
	const response = `charset=utf-8,username="zk",realm="zk-quorum-sasl-md5",nonce="0123456789",nc=00000001,cnonce="c",` +
		`digest-uri="zookeeper-quorum/zk-quorum-sasl-md5",response=33595c0fa8aa82dd12fc87c49c289cfc,qop=auth,authzid="root"`
	sendToken(client, wire.QuorumAuthInProgress, []byte(response))
	packet, err := wire.ReadQuorumAuthPacket(client, 1<<10)
	if err != nil || packet.Status != wire.QuorumAuthError || len(packet.Token) > 0 {
		t.Errorf("got %+v, %v", packet, err)
	}
	if err := <-admitted; !errors.Is(err, ErrNotAuthenticated) || !strings.Contains(err.Error(), `"root"`) {
		t.Errorf("the server says %v", err)
	}
}

// What comes from a server that does not try is read as it was, also if it is short, and if it need not try.
func TestSASLIsOptional(t *testing.T) {
	for _, text := range []string{"", "1234567", "12345678", "some packets"} {
		client, server := pipe(t)
		io.WriteString(client, text)
		client.(*net.TCPConn).CloseWrite()
		in, err := saslOf(enabled, "").admit(server)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); string(got) != text || err != nil {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
		client, server = pipe(t)
		io.WriteString(client, text)
		client.(*net.TCPConn).CloseWrite()
		if _, err := saslOf(required, "").admit(server); err == nil {
			t.Errorf("%q is enough", text)
		}
	}
}

// A server that ends is not held up by one that does not answer.
func TestProvingEnds(t *testing.T) {
	client, _ := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- saslOf(proving, "secret").prove(ctx, client, time.Hour) }()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("authenticated by nobody")
		}
	case <-time.After(patience):
		t.Fatal("still waiting")
	}
}

// script is a connection of which all that comes is known before.
type script struct {
	io.Reader
	net.Conn
	written bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.written.Write(b) }

// FuzzSASL sends any bytes to both sides: neither is convinced, and what was no authentication is not lost.
func FuzzSASL(f *testing.F) {
	begin := wire.QuorumAuthPacket{Token: []byte{}}.Append(nil)
	f.Add(begin)
	f.Add(wire.QuorumAuthPacket{Status: wire.QuorumAuthSuccess, Token: []byte("rspauth=0")}.Append(begin))
	f.Add(wire.QuorumAuthPacket{Token: []byte(`nonce="x",algorithm=md5-sess`)}.Append(nil))
	f.Add([]byte("no authentication"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sock := &script{Reader: bytes.NewReader(b)}
		c := saslOf(enabled, "hunter2")
		in, err := c.admit(sock)
		switch {
		case err != nil && !wire.IsQuorumAuth(b):
			t.Fatalf("%q: %v", b, err)
		case err == nil && wire.IsQuorumAuth(b):
			t.Fatalf("%q authenticates", b)
		case err == nil:
			if rest, _ := io.ReadAll(in); !bytes.Equal(rest, b) {
				t.Fatalf("%q is read as %q", b, rest)
			}
		}
		if _, err := saslOf(required, "").admit(&script{Reader: bytes.NewReader(b)}); err == nil {
			t.Fatalf("%q authenticates", b)
		}
		sock = &script{Reader: bytes.NewReader(b)}
		if err := c.exchangeAsClient(sock); err == nil {
			t.Fatalf("%q convinces", b)
		}
		if bytes.Contains(sock.written.Bytes(), []byte("hunter2")) && !bytes.Contains(b, []byte("hunter2")) {
			t.Fatalf("%q tells the password", sock.written.Bytes())
		}
	})
}
