package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/wire"
)

// member is a server in this process with real sockets and files.
type member struct {
	t      *testing.T
	dir    string
	client string
	cfg    string

	cancel context.CancelFunc
	ended  chan error
}

// newEnsemble writes the configurations of n members; 1 is a standalone server.
func newEnsemble(t *testing.T, n int, more string) []*member {
	t.Helper()
	ports := freePorts(t, 3*n)
	var servers strings.Builder
	for i := range n {
		if n > 1 {
			fmt.Fprintf(&servers, "server.%d=127.0.0.1:%d:%d\n", i+1, ports[3*i+1], ports[3*i+2])
		}
	}
	var members []*member
	for i := range n {
		m := &member{t: t, dir: t.TempDir(), client: fmt.Sprintf("127.0.0.1:%d", ports[3*i])}
		m.cfg = filepath.Join(m.dir, "zoo.cfg")
		text := fmt.Sprintf("tickTime=200\ninitLimit=20\nsyncLimit=10\ndataDir=%s/data\nclientPort=%d\npreAllocSize=64\n4lw.commands.whitelist=*\nadmin.enableServer=false\n%s%s",
			m.dir, ports[3*i], more, servers.String())
		if err := errors.Join(
			os.WriteFile(m.cfg, []byte(text), 0o644),
			os.Mkdir(filepath.Join(m.dir, "data"), 0o755),
			os.WriteFile(filepath.Join(m.dir, "data", "myid"), fmt.Appendf(nil, "%d\n", i+1), 0o644),
		); err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	return members
}

// freePorts finds ports that nobody listens on at the moment.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (m *member) start() {
	m.t.Helper()
	cfg, err := config.Load(m.cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.ended = cancel, make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("server", cfg.ServerID)
	}
	go func() { m.ended <- Run(ctx, cfg, Options{Version: "test", Log: log}) }()
	m.t.Cleanup(m.stop)
}

// stop stops the member cleanly, if it runs.
func (m *member) stop() {
	if m.cancel == nil {
		return
	}
	began := time.Now()
	m.cancel()
	if err := <-m.ended; err != nil {
		m.t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		m.t.Errorf("stopping took %v", took)
	}
	m.cancel = nil
}

// word asks a four-letter word; "" if nobody answers.
func (m *member) word(word string) string {
	c, err := net.DialTimeout("tcp", m.client, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, word)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// mode is what srvr calls the role.
func (m *member) mode() string {
	_, rest, _ := strings.Cut(m.word("srvr"), "Mode: ")
	mode, _, _ := strings.Cut(rest, "\n")
	return mode
}

func (m *member) connect() *zk.Conn { return connect(m.t, m) }

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func connect(t *testing.T, members ...*member) *zk.Conn {
	t.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.client)
	}
	c, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

var open = zk.WorldACL(zk.PermAll)

func TestStandalone(t *testing.T) {
	m := newEnsemble(t, 1, "")[0]
	startAll(t, []*member{m})
	c := m.connect()
	if _, err := c.Create("/a", []byte("one"), 0, open); err != nil {
		t.Fatal(err)
	}
	_, _, events, err := c.GetW("/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("/a", []byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Type != zk.EventNodeDataChanged {
		t.Errorf("event %v", e)
	}
	if got := m.mode(); got != "standalone" {
		t.Errorf("mode %q", got)
	}
	if got := m.word("ruok"); got != "imok" {
		t.Errorf("ruok is answered %q", got)
	}
	m.stop()
	startAll(t, []*member{m})
	data, stat, err := c.Get("/a") // the client comes back with its session
	if err != nil || string(data) != "two" || stat.Version != 1 {
		t.Errorf("after a restart: %q %+v %v", data, stat, err)
	}
}

// Snapshots, logs, restarts and purges go on while clients write.
func TestManySnapshots(t *testing.T) {
	m := newEnsemble(t, 1, "snapCount=200\nautopurge.purgeInterval=1\n")[0]
	startAll(t, []*member{m})
	c := m.connect()
	if _, err := c.Create("/n", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 500 {
				if _, err := c.Create(fmt.Sprintf("/n/%d-%d", w, i), []byte("x"), 0, open); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	m.stop()
	startAll(t, []*member{m})
	children, _, err := c.Children("/n")
	if err != nil || len(children) != 2000 {
		t.Errorf("%d children after a restart, want 2000: %v", len(children), err)
	}
	snapshots, _ := filepath.Glob(filepath.Join(m.dir, "data", "version-2", "snapshot.*"))
	if len(snapshots) < 3 {
		t.Errorf("snapshots: %v", snapshots)
	}
}

func startAll(t *testing.T, members []*member) {
	t.Helper()
	for _, m := range members {
		m.start()
	}
	for _, m := range members {
		waitFor(t, "member to serve", func() bool { mode := m.mode(); return mode != "" })
	}
}

func leaderOf(members []*member) *member {
	for _, m := range members {
		if m.cancel != nil && m.mode() == "leader" {
			return m
		}
	}
	return nil
}

func TestEnsemble(t *testing.T) {
	members := newEnsemble(t, 3, "snapCount=100\n")
	startAll(t, members)
	c := connect(t, members...)
	if _, err := c.Create("/a", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	written := 0
	write := func(n int) {
		t.Helper()
		for range n {
			path := fmt.Sprintf("/a/%d", written)
			for {
				_, err := c.Create(path, []byte("x"), 0, open)
				if err == nil || errors.Is(err, zk.ErrNodeExists) {
					break
				}
				if !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) {
					t.Fatal(err)
				}
			}
			written++
		}
	}
	write(50)
	for range 4 {
		leader := leaderOf(members)
		leader.stop()
		write(130) // more than a snapshot's worth
		waitFor(t, "a leader", func() bool { return leaderOf(members) != nil })
		leader.start()
		waitFor(t, "the old leader to follow", func() bool { return leader.mode() == "follower" })
	}
	write(10)
	for _, m := range members {
		own := m.connect()
		if _, err := own.Sync("/a"); err != nil {
			t.Fatal(err)
		}
		children, _, err := own.Children("/a")
		if err != nil || len(children) != written {
			t.Errorf("%s has %d children, want %d: %v", m.client, len(children), written, err)
		}
	}
}

// An ephemeral node is gone everywhere once its session is over, and a session survives the death of its server.
func TestSessions(t *testing.T) {
	members := newEnsemble(t, 3, "")
	startAll(t, members)
	c := connect(t, members...)
	if _, err := c.Create("/e", nil, zk.FlagEphemeral, open); err != nil {
		t.Fatal(err)
	}
	session := c.SessionID()
	for _, m := range members {
		if m.client == c.Server() {
			m.stop()
			defer m.start()
			break
		}
	}
	waitFor(t, "the client to move", func() bool { ok, _, err := c.Exists("/e"); return ok && err == nil })
	if c.SessionID() != session {
		t.Errorf("session %x became %x", session, c.SessionID())
	}
	c.Close()
	for _, m := range members {
		if m.cancel == nil {
			continue
		}
		own := m.connect()
		if _, err := own.Sync("/"); err != nil {
			t.Fatal(err)
		}
		if ok, _, err := own.Exists("/e"); ok || err != nil {
			t.Errorf("%s still has the node of a closed session: %v", m.client, err)
		}
	}
}

// Server ids begin with 0, also that of a leader.
func TestServerZero(t *testing.T) {
	members := newEnsemble(t, 2, "standaloneEnabled=false\n")
	for i, m := range members { // ids 0 and 1, of which only 0 votes
		text, err := os.ReadFile(m.cfg)
		if err != nil {
			t.Fatal(err)
		}
		first, second, _ := strings.Cut(strings.Replace(string(text), "server.1=", "server.0=", 1), "server.2=")
		second = "server.1=" + strings.TrimSpace(second) + ":observer\n"
		if i == 1 {
			second += "peerType=observer\n"
		}
		if err := errors.Join(os.WriteFile(m.cfg, []byte(first+second), 0o644),
			os.WriteFile(filepath.Join(m.dir, "data", "myid"), fmt.Appendln(nil, i), 0o644)); err != nil {
			t.Fatal(err)
		}
		m.start()
	}
	waitFor(t, "server 0 to lead", func() bool { return members[0].mode() == "leader" && members[1].mode() == "observer" })
	c := members[1].connect()
	if _, err := c.Create("/e", nil, zk.FlagEphemeral, open); err != nil {
		t.Fatal(err)
	}
	if c.Close(); !strings.Contains(members[0].word("conf"), "serverId=0\n") {
		t.Errorf("conf: %s", members[0].word("conf"))
	}
	own := members[0].connect()
	if ok, _, err := own.Exists("/e"); ok || err != nil {
		t.Errorf("the node of a closed session: %v, %v", ok, err)
	}
	if own.SessionID()>>56 != 0 || own.SessionID() == 0 {
		t.Errorf("session %#x", own.SessionID())
	}
}

// A client that went to another server without a word, as when its network failed, leaves no connection behind.
func TestConnectionOfASessionThatMoved(t *testing.T) {
	members := newEnsemble(t, 3, "")
	startAll(t, members)
	waitFor(t, "all members", func() bool {
		for _, m := range members {
			if m.mode() == "" {
				return false
			}
		}
		return true
	})
	connect := func(m *member, r wire.ConnectRequest) (net.Conn, wire.ConnectResponse) {
		t.Helper()
		conn, err := net.Dial("tcp", m.client)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		frame := r.Append(nil)
		if _, err := conn.Write(append(wire.AppendInt32(nil, int32(len(frame))), frame...)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4+37)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		var response wire.ConnectResponse
		if err := response.Unmarshal(answer[4:]); err != nil || response.SessionID == 0 {
			t.Fatalf("%+v: %v", response, err)
		}
		return conn, response
	}
	request := wire.ConnectRequest{TimeOut: 400, Passwd: make([]byte, 16), HasReadOnly: true}
	left, session := connect(members[0], request)
	request.SessionID, request.Passwd = session.SessionID, session.Passwd
	moved, _ := connect(members[1], request)
	ended := make(chan error, 1)
	go func() {
		_, err := left.Read(make([]byte, 1))
		ended <- err
	}()
	ping := append(wire.AppendInt32(nil, 8), wire.RequestHeader{Xid: wire.XidPing, Type: wire.OpPing}.Append(nil)...)
	alive := func() {
		t.Helper()
		if _, err := moved.Write(ping); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(moved, make([]byte, 4+16)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		alive()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Error(err)
			}
			alive()
			return
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection stays open")
		}
	}
}
