package peer

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/secure"
	"github.com/zkctl/zkctl/test/authority"
	"github.com/zkctl/zkctl/wire"
)

// stage is how far a member has come on the way from plain connections to TLS.
type stage struct {
	name        string
	tls         bool
	dial, plain bool // sslQuorum, portUnification
}

var stages = []stage{
	{name: "plain"},
	{name: "both taken", tls: true, plain: true},
	{name: "TLS dialled, both taken", tls: true, dial: true, plain: true},
	{name: "TLS only", tls: true, dial: true},
}

// logText is a log that can be read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// lines are those with a text.
func (l *logText) lines(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// host is the address of all members, the one from which they connect included.
func host(t testing.TB, members *quorum.Config) []string {
	return []string{member(t, members, 1).Host, "127.0.0.1"}
}

// stageConfig is a member at a stage with a certificate.
func stageConfig(t testing.TB, members *quorum.Config, id wire.ServerID, s stage, trusted *authority.Authority, own authority.Identity) (Config, *logText) {
	t.Helper()
	cfg, log := testConfig(members, id), new(logText)
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	if !s.tls {
		return cfg, log
	}
	dir := t.TempDir()
	settings := secure.Defaults(true)
	settings.KeyStore = secure.Store{Location: authority.Write(t, dir, "key.pem", own.PEM(t)), Type: keystore.PEM}
	settings.TrustStore = secure.Store{Location: authority.Write(t, dir, "trust.pem", trusted.PEM()), Type: keystore.PEM}
	var err error
	if cfg.TLS, err = secure.New(settings, cfg.Log); err != nil {
		t.Fatal(err)
	}
	cfg.DialTLS, cfg.AcceptPlain = s.dial, s.plain
	return cfg, log
}

// TestStages: members that are at most one stage apart understand each other, whoever dials, on both ports.
func TestStages(t *testing.T) {
	for i, of1 := range stages {
		for j, of2 := range stages {
			apart := max(i-j, j-i)
			if apart == 2 {
				continue // who dials decides
			}
			t.Run(of1.name+" and "+of2.name, func(t *testing.T) {
				t.Parallel()
				members := newMembers(t, 1, 2)
				good := authority.New(t, "good")
				own := good.Issue(t, authority.Wish{Hosts: host(t, members)})
				cfg1, log1 := stageConfig(t, members, 1, of1, good, own)
				cfg2, log2 := stageConfig(t, members, 2, of2, good, own)
				one, two := startWith(t, cfg1), startWith(t, cfg2)
				if apart > 1 {
					one.vote(2, 1)
					two.vote(1, 2)
					until(t, "a refusal", func() bool {
						return len(log1.lines("level=WARN")) > 0 || len(log2.lines("level=WARN")) > 0
					})
					if len(one.votes(2)) > 0 || len(two.votes(1)) > 0 {
						t.Error("they understand each other")
					}
					return
				}
				one.vote(2, 1) // asks to be called
				two.awaitVote(1, 1)
				two.vote(1, 2)
				one.awaitVote(2, 2)
				for _, p := range []*pair{connectPair(t, one, two, 1), connectPair(t, two, one, 1)} {
					const n = 200
					for i := range n {
						p.learner.send(p.out, numbered(i+1))
						p.leader.send(p.in, numbered(i))
					}
					p.leader.send(p.in, large)
					checkNumbered(t, p.leader.awaitPackets(p.in, n+1)[1:], 1)
					checkNumbered(t, p.learner.awaitPackets(p.out, n+1)[:n], 0)
					p.leader.closeConn(p.in)
					if err := p.learner.awaitClosed(p.out); err != nil {
						t.Errorf("learner: %v", err)
					}
					if err := p.leader.awaitClosed(p.in); err != nil {
						t.Errorf("leader: %v", err)
					}
				}
				for _, log := range []*logText{log1, log2} {
					if lines := log.lines("level=WARN"); len(lines) > 0 {
						t.Errorf("warnings: %s", lines)
					}
				}
			})
		}
	}
}

func TestSnapshotOverTLS(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	good := authority.New(t, "good")
	own := good.Issue(t, authority.Wish{Hosts: host(t, members)})
	cfg1, _ := stageConfig(t, members, 1, stages[3], good, own)
	cfg2, _ := stageConfig(t, members, 2, stages[3], good, own)
	p := connectPair(t, startWith(t, cfg1), startWith(t, cfg2), 1)
	tr := newTree(t, 20_000)
	p.leader.SendSnapshot(node.SendSnapshot{Conn: p.in, Zxid: tr.LastZxid(), Tree: tr})
	got := awaitInput[node.SnapshotReceived](p.learner, "snapshot", nil).Database.Tree
	if got.Digest() != tr.Digest() {
		t.Error("another tree has arrived")
	}
}

// TestRefusedMembers: who cannot prove to be a member of the host gets nowhere, and one line in the log says why; the
// others do not notice.
func TestRefusedMembers(t *testing.T) {
	good, evil := authority.New(t, "good"), authority.New(t, "evil")
	for _, test := range []struct {
		name   string
		by     *authority.Authority
		wish   authority.Wish
		reason string
	}{
		{"expired", good, authority.Wish{End: time.Now().Add(-time.Minute)}, "expired"},
		{"of somebody else", evil, authority.Wish{}, "unknown authority"},
		{"of another host", good, authority.Wish{Hosts: []string{"10.9.8.7"}}, "not of 127."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			members := newMembers(t, 1, 2, 3)
			own := good.Issue(t, authority.Wish{Hosts: host(t, members)})
			if test.wish.Hosts == nil {
				test.wish.Hosts = host(t, members)
			}
			cfg1, log1 := stageConfig(t, members, 1, stages[3], good, own)
			cfg2, log2 := stageConfig(t, members, 2, stages[3], good, own)
			cfg3, _ := stageConfig(t, members, 3, stages[3], good, test.by.Issue(t, test.wish))
			one, two, three := startWith(t, cfg1), startWith(t, cfg2), startWith(t, cfg3)
			three.vote(1, 1) // dials 1
			two.vote(3, 2)   // dials 3
			one.OpenQuorumPort()
			three.dialLeader(1, 1, 2*time.Second)
			until(t, "lines in both logs", func() bool {
				return len(log1.lines(test.reason)) > 0 && len(log2.lines(test.reason)) > 0
			})
			one.vote(2, 3)
			two.awaitVote(1, 3)
			awaitInput(three, "end", func(in node.ConnClosed) bool { return in.Conn == 1 })
			if len(one.votes(3)) > 0 || len(three.votes(2)) > 0 || count[node.LearnerAccepted](one) > 0 {
				t.Error("the member is let in")
			}
			for _, log := range []*logText{log1, log2} {
				if lines := log.lines("level=WARN"); len(lines) != 1 || !strings.Contains(lines[0], "remote=127.") {
					t.Errorf("the log has %s", lines)
				}
			}
		})
	}
}

// TestBadHandshakes: handshakes that are none, or do not go on, cost nobody else anything.
func TestBadHandshakes(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	good := authority.New(t, "good")
	own := good.Issue(t, authority.Wish{Hosts: host(t, members)})
	cfg1, _ := stageConfig(t, members, 1, stages[3], good, own)
	cfg2, _ := stageConfig(t, members, 2, stages[3], good, own)
	one, two := startWith(t, cfg1), startWith(t, cfg2)
	one.OpenQuorumPort()
	for _, address := range []string{member(t, members, 1).ElectionAddress(), member(t, members, 1).QuorumAddress()} {
		for range 20 {
			dialRaw(t, address)
			write(t, dialRaw(t, address), []byte{0x16, 3, 1})
		}
		for _, garbage := range [][]byte{
			[]byte("GET / HTTP/1.0\r\n\r\n"),
			appendGreeting(nil, 2, member(t, members, 2).ElectionAddress()),
			append([]byte{0x16, 3, 1, 0, 200}, make([]byte, 200)...),
			append([]byte{0x16, 3, 1, 0xff, 0xff}, make([]byte, 1<<16)...),
		} {
			sock := dialRaw(t, address)
			sock.Write(garbage)
			if _, err := io.Copy(io.Discard, sock); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					t.Errorf("%s: after %.10q the connection stays open", address, garbage)
				}
			}
		}
		// With a good certificate, but what comes then is garbage.
		secured := tls.Client(dialRaw(t, address), &tls.Config{RootCAs: good.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{own.TLS()}})
		write(t, secured, []byte("\xff\xff\xff\xffgarbage that is no packet and no greeting"))
		awaitEOF(t, secured)
	}
	one.vote(2, 1)
	two.awaitVote(1, 1)
	p := connectPair(t, two, one, 1)
	p.learner.send(p.out, numbered(1))
	p.leader.awaitPackets(p.in, 2)
}
