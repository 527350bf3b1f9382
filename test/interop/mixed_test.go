//go:build interop

package interop

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

const (
	ours   = ensemble.Zkserver
	apache = ensemble.Apache
)

// thirdLeads are ensembles of both kinds, one of each kind in the lead if the third member leads.
var thirdLeads = [][]ensemble.Kind{{ours, ours, apache}, {apache, apache, ours}}

// startLed starts an ensemble that has no txns yet, at first only those members that elect: the highest id of them leads.
func startLed(t *testing.T, e *ensemble.Ensemble, leader int, elect ...int) {
	t.Helper()
	must(t, e.Start(elect...))
	must(t, e.Await(patience))
	must(t, e.Start())
	must(t, e.Await(patience))
	if got := e.Leader(); got.ID != leader {
		t.Fatalf("member %d leads, a %v", got.ID, got.Kind)
	}
}

// TestMixed runs ensembles of two zkservers and one Apache ZooKeeper, once with either kind leading.
func TestMixed(t *testing.T) {
	for _, c := range []struct {
		name  string
		leads int
	}{{"apache leads", 3}, {"zkserver leads", 2}} {
		t.Run(c.name, func(t *testing.T) {
			e := layOut(t, ours, ours, apache)
			startLed(t, e, c.leads, 1, c.leads)
			steps := []struct {
				name string
				run  func(*testing.T, *ensemble.Ensemble)
			}{
				{"replicate", replicate},
				{"follower catches up by DIFF", catchUp},
				{"follower starts empty by SNAP", startEmpty},
				{"leader with unacknowledged writes by TRUNC", truncateLeader},
				{"leader's death", leaderDeath},
				{"each takes over the other's files", swapKinds},
			}
			for _, step := range steps {
				if !t.Run(step.name, func(t *testing.T) { step.run(t, e) }) {
					return // the next step starts from this one's end
				}
			}
		})
	}
}

var rounds atomic.Int32 // names of nodes differ between rounds

// replicate makes every kind of change through each member, and reads it at each.
func replicate(t *testing.T, e *ensemble.Ensemble) {
	t.Helper()
	for _, m := range e.Members() {
		if !m.Running() {
			continue
		}
		root := fmt.Sprintf("/round%d", rounds.Add(1))
		conn := dial(t, m.Addr())
		change(t, conn, root)
		for _, other := range e.Members() {
			if !other.Running() {
				continue
			}
			reader := dial(t, other.Addr())
			_, err := reader.Sync(root)
			must(t, err)
			children, _, err := reader.Children(root)
			must(t, err)
			if len(children) != 6 {
				t.Errorf("written at member %d (%v), seen at %d (%v): %v", m.ID, m.Kind, other.ID, other.Kind, children)
			}
			_, stat, err := reader.Get(root + "/ephemeral")
			must(t, err)
			if stat.EphemeralOwner != conn.SessionID() {
				t.Errorf("owner at member %d: %#x, want %#x", other.ID, stat.EphemeralOwner, conn.SessionID())
			}
		}
	}
	same(t, e)
}

// change leaves six children under root, having used every kind of transaction that this client library can ask for.
func change(t *testing.T, conn *zk.Conn, root string) {
	t.Helper()
	create := func(name string, flags int32) {
		t.Helper()
		_, err := conn.Create(path.Join(root, name), []byte(name), flags, open)
		must(t, err)
	}
	create("", 0)
	create("plain", 0)
	create("ephemeral", zk.FlagEphemeral)
	create("sequential-", zk.FlagSequence)
	create("deleted", 0)
	must(t, conn.Delete(root+"/deleted", 0))
	_, err := conn.CreateContainer(root+"/container", nil, zk.FlagContainer, open)
	must(t, err)
	_, err = conn.CreateTTL(root+"/ttl", []byte("t"), zk.FlagTTL, open, time.Hour)
	must(t, err)
	for i := range 3 {
		_, err = conn.Set(root+"/plain", fmt.Append(nil, "version ", i+1), int32(i))
		must(t, err)
	}
	_, err = conn.SetACL(root+"/plain", append(zk.DigestACL(zk.PermAll, "u", "p"), zk.WorldACL(zk.PermRead)...), 0)
	must(t, err)
	_, err = conn.Multi(
		&zk.CreateRequest{Path: root + "/multi", Data: nil, Acl: open},
		&zk.SetDataRequest{Path: root + "/multi", Data: []byte("m"), Version: 0},
		&zk.CheckVersionRequest{Path: root + "/plain", Version: 3},
		&zk.CreateRequest{Path: root + "/multi/gone", Acl: open},
		&zk.DeleteRequest{Path: root + "/multi/gone", Version: -1},
	)
	must(t, err)
	if _, err = conn.Multi(
		&zk.SetDataRequest{Path: root + "/multi", Data: []byte("never"), Version: -1},
		&zk.DeleteRequest{Path: root + "/none", Version: -1},
	); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("a multi that must fail: %v", err)
	}
}

func same(t *testing.T, e *ensemble.Ensemble) {
	t.Helper()
	tree, err := e.SameTrees()
	must(t, err)
	t.Logf("%d znodes, equal at every running member; modes %v", len(tree), e.Modes())
}

// catchUp stops each follower in turn, writes, and starts it again.
func catchUp(t *testing.T, e *ensemble.Ensemble) {
	for _, m := range followers(e) {
		must(t, m.Kill())
		replicate(t, e)
		comesBack(t, e, m)
		same(t, e)
		if m.Kind == apache && !m.LogHas("Getting a diff from the leader") {
			t.Error("the Apache follower did not get a DIFF")
		}
	}
	replicate(t, e)
}

// comesBack starts a member. A start that takes longer than a processor under load explains leaves its logs.
func comesBack(t *testing.T, e *ensemble.Ensemble, m *ensemble.Member) {
	t.Helper()
	began := time.Now()
	must(t, m.Start())
	must(t, e.Await(patience))
	if took := time.Since(began); took > 8*time.Second {
		t.Logf("member %d (%v) took %v to come back:\n%s", m.ID, m.Kind, took.Round(time.Millisecond), e.Logs(60))
	}
}

// startEmpty is the same with the follower's files removed.
func startEmpty(t *testing.T, e *ensemble.Ensemble) {
	for _, m := range followers(e) {
		must(t, m.Kill())
		must(t, m.Wipe())
		replicate(t, e)
		comesBack(t, e, m)
		same(t, e)
		if m.Kind == apache && !m.LogHas("Getting a snapshot from leader") {
			t.Error("the Apache follower did not get a SNAP")
		}
	}
	replicate(t, e)
}

// truncateLeader kills both followers under a stream of writes, so that the leader's log most likely ends in proposals
// that nobody else has; the followers then go on without it, and on its return it has to forget them. What clients were
// told must survive either way.
func truncateLeader(t *testing.T, e *ensemble.Ensemble) {
	leader, rest := e.Leader(), followers(e)
	conn := dial(t, leader.Addr())
	_, err := conn.Create("/stream", nil, 0, open)
	must(t, err)
	var written sync.Map
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := range 1_000_000 {
				name := fmt.Sprintf("/stream/w%d-%d", w, i)
				if _, err := conn.Create(name, nil, 0, open); err != nil {
					return
				}
				written.Store(name, true)
			}
		})
	}
	must(t, ensemble.Until(patience, "some writes are through", func() bool {
		_, ok := written.Load("/stream/w0-20")
		return ok
	}))
	var kills sync.WaitGroup
	for _, m := range rest {
		kills.Go(func() {
			if err := m.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	kills.Wait()
	must(t, leader.Kill())
	conn.Close()
	writers.Wait()

	must(t, e.Start(rest[0].ID, rest[1].ID))
	must(t, e.Await(patience))
	replicate(t, e)
	must(t, leader.Start())
	must(t, e.Await(patience))
	tree, err := e.SameTrees()
	must(t, err)
	count := 0
	written.Range(func(name, _ any) bool {
		count++
		if _, ok := tree[name.(string)]; !ok {
			t.Errorf("an acknowledged write is lost: %v", name)
		}
		return true
	})
	t.Logf("%d acknowledged writes; the old leader (%v) was told to truncate: %v", count, leader.Kind,
		leader.LogHas("TRUNC") || leader.LogHas("runcat") || e.Leader().LogHas("TRUNC"))
	replicate(t, e)
}

// leaderDeath kills the leader under a session that it holds: the others elect, the session moves, writes go on, and the
// old leader comes back as a follower.
func leaderDeath(t *testing.T, e *ensemble.Ensemble) {
	leader := e.Leader()
	conn := dial(t, append([]string{leader.Addr()}, others(e, leader)...)...)
	session := conn.SessionID()
	_, err := conn.Create("/outlives", nil, zk.FlagEphemeral, open)
	must(t, err)
	must(t, leader.Kill())
	must(t, e.Await(patience))
	must(t, ensemble.Until(patience, "the session moves", func() bool {
		_, err := conn.Set("/outlives", []byte("moved"), -1)
		return err == nil
	}))
	if conn.SessionID() != session {
		t.Errorf("session %#x became %#x", session, conn.SessionID())
	}
	replicate(t, e)
	must(t, leader.Start())
	must(t, e.Await(patience))
	if mode := leader.Mode(); mode != "follower" {
		t.Errorf("the old leader is %s", mode)
	}
	replicate(t, e)
	conn.Close()
}

// swapKinds stops everything and starts each member with the other implementation on the same files: one format.
func swapKinds(t *testing.T, e *ensemble.Ensemble) {
	before, err := e.SameTrees()
	must(t, err)
	for _, m := range e.Members() {
		must(t, m.Stop())
		m.Kind = ours + apache - m.Kind
	}
	must(t, e.Start())
	must(t, e.Await(patience))
	after, err := e.SameTrees()
	must(t, err)
	for at := range before { // sessions of earlier steps may expire meanwhile, and their nodes with them
		if strings.HasSuffix(at, "/ephemeral") {
			delete(before, at)
			delete(after, at)
		}
	}
	for at, node := range before {
		if got, ok := after[at]; !ok || got.Data != node.Data || got.Stat.Czxid != node.Stat.Czxid || got.Stat.Mzxid != node.Stat.Mzxid {
			t.Errorf("%s was %+v, is %+v", at, node, got)
		}
	}
	replicate(t, e)
}

func followers(e *ensemble.Ensemble) []*ensemble.Member {
	var followers []*ensemble.Member
	for _, m := range e.Members() {
		if m.Mode() == "follower" {
			followers = append(followers, m)
		}
	}
	return followers
}
