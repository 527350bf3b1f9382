//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

func TestGoClient(t *testing.T) {
	e := three(t)
	t.Run("basics", func(t *testing.T) { goBasics(t, e) })
	t.Run("errors", func(t *testing.T) { goErrors(t, e) })
	t.Run("sequential", func(t *testing.T) { goSequential(t, e) })
	t.Run("watches", func(t *testing.T) { goWatches(t, e) })
	t.Run("ephemeral", func(t *testing.T) { goEphemeral(t, e) })
	t.Run("multi", func(t *testing.T) { goMulti(t, e) })
	t.Run("acl", func(t *testing.T) { goACL(t, e) })
	t.Run("container and TTL", func(t *testing.T) { goContainerTTL(t, e) })
	t.Run("lock", func(t *testing.T) { goLock(t, e) })
	t.Run("member's death", func(t *testing.T) { goMemberDeath(t, e) })
	if _, err := e.SameTrees(); err != nil {
		t.Error(err)
	}
}

// goBasics writes through one member and reads through every one.
func goBasics(t *testing.T, e *ensemble.Ensemble) {
	for i, m := range e.Members() {
		conn := dial(t, m.Addr())
		path := fmt.Sprintf("/basics%d", i)
		if created, err := conn.Create(path, []byte("one"), 0, open); err != nil || created != path {
			t.Fatalf("create: %q, %v", created, err)
		}
		stat, err := conn.Set(path, []byte("second"), 0)
		must(t, err)
		if stat.Version != 1 || stat.DataLength != 6 || stat.Mzxid <= stat.Czxid || stat.Pzxid != stat.Czxid {
			t.Errorf("stat after set: %+v", stat)
		}
		for _, other := range e.Members() {
			reader := dial(t, other.Addr())
			_, err := reader.Sync(path)
			must(t, err)
			data, seen, err := reader.Get(path)
			must(t, err)
			if string(data) != "second" || *seen != *stat {
				t.Errorf("member %d reads %q %+v, want \"second\" %+v", other.ID, data, seen, stat)
			}
		}
		must(t, conn.Delete(path, 1))
		if exists, _, err := conn.Exists(path); err != nil || exists {
			t.Errorf("exists after delete: %v, %v", exists, err)
		}
	}
}

func goErrors(t *testing.T, e *ensemble.Ensemble) {
	conn := dial(t, e.Servers()...)
	_, err := conn.Create("/errors", nil, 0, open)
	must(t, err)
	_, err = conn.Create("/errors/child", nil, 0, open)
	must(t, err)
	_, err = conn.Create("/errors/ephemeral", nil, zk.FlagEphemeral, open)
	must(t, err)
	for _, c := range []struct {
		name string
		want error
		do   func() error
	}{
		{"create existing", zk.ErrNodeExists, func() error { _, err := conn.Create("/errors", nil, 0, open); return err }},
		{"create without parent", zk.ErrNoNode, func() error { _, err := conn.Create("/none/x", nil, 0, open); return err }},
		{"create under ephemeral", zk.ErrNoChildrenForEphemerals,
			func() error { _, err := conn.Create("/errors/ephemeral/x", nil, 0, open); return err }},
		{"set other version", zk.ErrBadVersion, func() error { _, err := conn.Set("/errors", nil, 7); return err }},
		{"delete other version", zk.ErrBadVersion, func() error { return conn.Delete("/errors/child", 7) }},
		{"delete with children", zk.ErrNotEmpty, func() error { return conn.Delete("/errors", -1) }},
		{"get missing", zk.ErrNoNode, func() error { _, _, err := conn.Get("/none"); return err }},
		{"empty acl", zk.ErrInvalidACL, func() error { _, err := conn.Create("/noacl", nil, 0, nil); return err }},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func goSequential(t *testing.T, e *ensemble.Ensemble) {
	conn := dial(t, e.Servers()...)
	_, err := conn.Create("/seq", nil, 0, open)
	must(t, err)
	for i := range 12 {
		created, err := conn.Create("/seq/n-", nil, zk.FlagSequence, open)
		must(t, err)
		if want := fmt.Sprintf("/seq/n-%010d", i); created != want {
			t.Errorf("sequential node %d: %s, want %s", i, created, want)
		}
	}
	children, stat, err := conn.Children("/seq")
	must(t, err)
	if len(children) != 12 || stat.Cversion != 12 {
		t.Errorf("%d children, cversion %d", len(children), stat.Cversion)
	}
}

// goWatches sets watches at one member and makes the changes at another.
func goWatches(t *testing.T, e *ensemble.Ensemble) {
	watcher, writer := dial(t, e.Members()[0].Addr()), dial(t, e.Members()[2].Addr())
	_, _, created, err := watcher.ExistsW("/watched")
	must(t, err)
	_, err = writer.Create("/watched", nil, 0, open)
	must(t, err)
	expectEvent(t, created, zk.EventNodeCreated, "/watched")

	_, _, changed, err := watcher.GetW("/watched")
	must(t, err)
	_, _, childrenChanged, err := watcher.ChildrenW("/watched")
	must(t, err)
	_, err = writer.Set("/watched", []byte("x"), -1)
	must(t, err)
	expectEvent(t, changed, zk.EventNodeDataChanged, "/watched")
	_, err = writer.Create("/watched/child", nil, 0, open)
	must(t, err)
	expectEvent(t, childrenChanged, zk.EventNodeChildrenChanged, "/watched")

	_, _, deleted, err := watcher.GetW("/watched/child")
	must(t, err)
	must(t, writer.Delete("/watched/child", -1))
	expectEvent(t, deleted, zk.EventNodeDeleted, "/watched/child")
}

func expectEvent(t *testing.T, events <-chan zk.Event, kind zk.EventType, path string) {
	t.Helper()
	select {
	case event := <-events:
		if event.Type != kind || event.Path != path {
			t.Errorf("event %v at %q, want %v at %q", event.Type, event.Path, kind, path)
		}
	case <-time.After(patience):
		t.Errorf("no event %v at %q", kind, path)
	}
}

// goEphemeral checks both ways a session can end: by its close, and by the silence of a client that vanished.
func goEphemeral(t *testing.T, e *ensemble.Ensemble) {
	observer := dial(t, e.Members()[0].Addr())
	closing := dial(t, e.Members()[1].Addr())
	_, err := closing.Create("/closing", nil, zk.FlagEphemeral, open)
	must(t, err)
	_, stat, err := closing.Get("/closing")
	must(t, err)
	if stat.EphemeralOwner != closing.SessionID() {
		t.Errorf("owner %#x, session %#x", stat.EphemeralOwner, closing.SessionID())
	}
	closing.Close()
	gone(t, observer, "/closing", 5*time.Second) // before it could expire

	link := &cuttable{}
	vanishing, _, err := zk.Connect([]string{e.Members()[2].Addr()}, 6*time.Second, zk.WithLogger(ensemble.Quiet{}),
		zk.WithDialer(link.dial))
	must(t, err)
	t.Cleanup(vanishing.Close)
	_, err = vanishing.Create("/vanishing", nil, zk.FlagEphemeral, open)
	must(t, err)
	link.cut()
	_, err = observer.Sync("/vanishing") // the observer's server may not have heard of it
	must(t, err)
	if exists, _, err := observer.Exists("/vanishing"); err != nil || !exists {
		t.Errorf("an ephemeral node went with the connection, before the session expired (%v)", err)
	}
	gone(t, observer, "/vanishing", patience)
}

func gone(t *testing.T, conn *zk.Conn, path string, limit time.Duration) {
	t.Helper()
	must(t, ensemble.Until(limit, path+" is gone", func() bool {
		exists, _, err := conn.Exists(path)
		return err == nil && !exists
	}))
}

// cuttable dials connections until it is cut; then it closes the last one and refuses new ones.
type cuttable struct {
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (c *cuttable) dial(network, address string, limit time.Duration) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("the cable is cut")
	}
	conn, err := net.DialTimeout(network, address, limit)
	c.conn = conn
	return conn, err
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.conn.Close()
}

func goMulti(t *testing.T, e *ensemble.Ensemble) {
	conn := dial(t, e.Servers()...)
	results, err := conn.Multi(
		&zk.CreateRequest{Path: "/multi", Data: []byte("a"), Acl: open},
		&zk.CreateRequest{Path: "/multi/child", Acl: open},
		&zk.SetDataRequest{Path: "/multi", Data: []byte("b"), Version: 0},
		&zk.CheckVersionRequest{Path: "/multi", Version: 1},
		&zk.DeleteRequest{Path: "/multi/child", Version: 0},
	)
	must(t, err)
	if len(results) != 5 || results[0].String != "/multi" || results[2].Stat == nil || results[2].Stat.Version != 1 {
		t.Errorf("results: %+v", results)
	}
	results, err = conn.Multi(
		&zk.SetDataRequest{Path: "/multi", Data: []byte("c"), Version: 1},
		&zk.CreateRequest{Path: "/multi/other", Acl: open},
		&zk.CheckVersionRequest{Path: "/multi", Version: 9},
	)
	if !errors.Is(err, zk.ErrBadVersion) {
		t.Errorf("failing multi: %+v, %v", results, err)
	}
	data, stat, err := conn.Get("/multi")
	must(t, err)
	if string(data) != "b" || stat.Version != 1 || stat.NumChildren != 0 {
		t.Errorf("a failed multi left %q, %+v", data, stat)
	}
}

func goACL(t *testing.T, e *ensemble.Ensemble) {
	owner, stranger := dial(t, e.Servers()...), dial(t, e.Servers()...)
	must(t, owner.AddAuth("digest", []byte("ann:secret")))
	_, err := owner.Create("/private", []byte("x"), 0, zk.AuthACL(zk.PermAll))
	must(t, err)
	acl, _, err := owner.GetACL("/private")
	must(t, err)
	if want := zk.DigestACL(zk.PermAll, "ann", "secret"); !slices.Equal(acl, want) {
		t.Errorf("acl %v, want %v", acl, want)
	}
	_, err = stranger.Sync("/private")
	must(t, err)
	if _, _, err := stranger.Get("/private"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("a stranger reads: %v", err)
	}
	if err := stranger.Delete("/private", -1); err != nil {
		t.Errorf("delete is the parent's permission: %v", err)
	}
}

func goContainerTTL(t *testing.T, e *ensemble.Ensemble) {
	conn := dial(t, e.Servers()...)
	_, err := conn.CreateContainer("/container", []byte("c"), zk.FlagContainer, open)
	must(t, err)
	_, err = conn.CreateTTL("/ttl", []byte("t"), zk.FlagTTL, open, time.Hour)
	must(t, err)
	_, stat, err := conn.Get("/container")
	must(t, err)
	if stat.EphemeralOwner != 0 { // DataNode.copyStat shows the owner of ordinary ephemeral nodes only
		t.Errorf("ephemeralOwner of a container: %#x", stat.EphemeralOwner)
	}
}

// goLock has five sessions on three members increment a counter under the library's lock.
func goLock(t *testing.T, e *ensemble.Ensemble) {
	setup := dial(t, e.Servers()...)
	_, err := setup.Create("/counter", []byte("0"), 0, open)
	must(t, err)
	var wg sync.WaitGroup
	for i := range 5 {
		conn := dial(t, e.Members()[i%3].Addr())
		wg.Go(func() {
			for range 4 {
				lock := zk.NewLock(conn, "/lock", open)
				if err := lock.Lock(); err != nil {
					t.Error(err)
					return
				}
				if err := increment(conn, "/counter"); err != nil {
					t.Error(err)
				}
				if err := lock.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, err = setup.Sync("/counter")
	must(t, err)
	data, stat, err := setup.Get("/counter")
	must(t, err)
	if string(data) != "20" || stat.Version != 20 {
		t.Errorf("20 increments under a lock: %s, version %d", data, stat.Version)
	}
}

// increment reads and writes without a version check: only the lock protects it.
func increment(conn *zk.Conn, path string) error {
	if _, err := conn.Sync(path); err != nil {
		return err
	}
	data, _, err := conn.Get(path)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(string(data), &n); err != nil {
		return err
	}
	_, err = conn.Set(path, fmt.Append(nil, n+1), -1)
	return err
}

// goMemberDeath kills the member that holds a session: the session moves with its ephemeral nodes and watches. It does so
// at a follower and at the leader.
func goMemberDeath(t *testing.T, e *ensemble.Ensemble) {
	for _, mode := range []string{"follower", "leader"} {
		var victim *ensemble.Member
		must(t, ensemble.Until(patience, "a "+mode, func() bool {
			for _, m := range e.Members() {
				if m.Mode() == mode {
					victim = m
					return true
				}
			}
			return false
		}))
		servers := []string{victim.Addr()}
		for _, m := range e.Members() {
			if m != victim {
				servers = append(servers, m.Addr())
			}
		}
		conn := dial(t, servers...)
		session, path := conn.SessionID(), "/survivor-"+mode
		if conn.Server() != victim.Addr() {
			t.Fatalf("session at %s, not at the %s %s", conn.Server(), mode, victim.Addr())
		}
		_, err := conn.Create(path, nil, zk.FlagEphemeral, open)
		must(t, err)
		_, _, changed, err := conn.GetW(path)
		must(t, err)
		must(t, victim.Kill())
		must(t, ensemble.Until(patience, "the session moves", func() bool {
			_, stat, err := conn.Get(path)
			return err == nil && stat.EphemeralOwner == session
		}))
		if conn.SessionID() != session {
			t.Errorf("killed %s: the session is another one: %#x, was %#x", mode, conn.SessionID(), session)
		}
		_, err = conn.Set(path, []byte("moved"), -1)
		must(t, err)
		expectEvent(t, changed, zk.EventNodeDataChanged, path)
		must(t, victim.Start())
		must(t, e.Await(patience))
	}
}
