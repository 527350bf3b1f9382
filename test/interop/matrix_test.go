//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
	"github.com/zkctl/zkctl/wire"
)

// matrix collects what was seen of each combination, by row and column.
type matrix struct {
	rows    []string
	columns []string
	cells   map[string]string
}

func (m *matrix) set(row, column, cell string) {
	for _, list := range []struct {
		of   *[]string
		name string
	}{{&m.rows, row}, {&m.columns, column}} {
		known := false
		for _, name := range *list.of {
			known = known || name == list.name
		}
		if !known {
			*list.of = append(*list.of, list.name)
		}
	}
	if m.cells == nil {
		m.cells = make(map[string]string)
	}
	m.cells[row+"\x00"+column] = cell
}

func (m *matrix) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s", "")
	for _, column := range m.columns {
		fmt.Fprintf(&b, " %-25s", column)
	}
	for _, row := range m.rows {
		fmt.Fprintf(&b, "\n%-34s", row)
		for _, column := range m.columns {
			fmt.Fprintf(&b, " %-25s", m.cells[row+"\x00"+column])
		}
	}
	return b.String()
}

// TestMatrix has every kind of leader synchronise every kind of follower and observer in every way, and lets sessions with
// ephemeral znodes begin at one kind of server and end at another.
func TestMatrix(t *testing.T) {
	var m matrix
	defer func() { t.Logf("\n%s", &m) }()
	for _, leader := range []ensemble.Kind{ours, apache} {
		t.Run(leader.String()+" leads", func(t *testing.T) { synchronise(t, leader, &m) })
	}
}

// synchronise has member 3 lead. Voter 1 and observer 4 are zkservers, voter 2 and observer 5 are Apache ZooKeepers. Those
// that are down at a time leave a quorum with 3, which has the highest id of it.
func synchronise(t *testing.T, kind ensemble.Kind, m *matrix) {
	e := layOutWith(t, ensemble.Settings{
		TickTime: 200 * time.Millisecond, Observers: 2,
		Extra: []string{"minSessionTimeout=400", "maxSessionTimeout=20000"},
	}, ours, apache, kind, ours, apache)
	leads := func(first ...int) {
		t.Helper()
		must(t, e.Start(append(first, 3)...))
		must(t, e.Await(patience))
		if leader := e.Leader(); leader.ID != 3 {
			t.Fatalf("member %d leads", leader.ID)
		}
	}
	leads(2)
	leads(1, 4, 5)
	write := func() {
		t.Helper()
		conn := dial(t, e.Member(3).Addr())
		change(t, conn, fmt.Sprintf("/round%d", rounds.Add(1)))
		conn.Close()
	}
	write()
	_, err := e.SameTrees() // everybody has a txn of this epoch
	must(t, err)
	backups := t.TempDir()
	for _, victims := range [][]int{{1, 4, 5}, {2}} {
		down := func(do func(*ensemble.Member) error) func() {
			return func() {
				for _, id := range victims {
					must(t, e.Member(id).Kill())
					must(t, do(e.Member(id)))
				}
			}
		}
		for _, way := range []struct {
			name, by string
			prepare  func()
		}{
			{"missed a little", "DIFF", down(func(m *ensemble.Member) error {
				return m.Backup(filepath.Join(backups, strconv.Itoa(m.ID)))
			})},
			{"has nothing", "SNAP", down((*ensemble.Member).Wipe)},
			{"has an older backup", "", down(func(m *ensemble.Member) error {
				return m.Restore(filepath.Join(backups, strconv.Itoa(m.ID)))
			})},
			{"has a proposal of its own", "TRUNC", func() {
				for _, m := range e.Members() {
					must(t, m.Stop())
				}
				for _, id := range victims {
					must(t, e.Member(id).Propose(fmt.Sprintf("/only%d", id)))
				}
				leads(map[int][]int{1: {2}, 2: {1, 4, 5}}[victims[0]]...)
			}},
		} {
			way.prepare()
			if way.by != "TRUNC" { // a zkserver sends a snapshot to whoever has something else than what followed
				write()
			}
			before := syncs(t, e.Member(3))
			cut := make(map[int]int)
			for _, id := range victims {
				cut[id] = truncations(e.Member(id))
			}
			must(t, e.Start(victims...))
			must(t, e.Await(patience))
			write()
			tree, err := e.SameTrees()
			must(t, err)
			must(t, e.NoDigestMismatches())
			after := syncs(t, e.Member(3))
			for _, id := range victims {
				got := "DIFF"
				switch {
				case after.snaps-before.snaps >= len(victims):
					got = "SNAP"
				case truncations(e.Member(id)) > cut[id]:
					got = "TRUNC"
				case after.diffs-before.diffs < len(victims):
					got = "?"
				}
				m.set(fmt.Sprintf("%v leads, %v %s", kind, e.Member(id).Kind, e.Member(id).Mode()), way.name, got)
				if got != way.by && way.by != "" || got == "?" {
					t.Errorf("%s: member %d (%v) was synchronised by %s, not %s", way.name, id, e.Member(id).Kind, got, way.by)
				}
				if _, there := tree[fmt.Sprintf("/only%d", id)]; there {
					t.Errorf("%s: a proposal that nobody else had is there", way.name)
				}
			}
		}
	}
	moveSessions(t, e, m)
	must(t, e.StopIdle(patience))
	digest, err := e.SameDiskDigests()
	must(t, err)
	t.Logf("the digest of all trees is %#x", digest)
}

// synced counts a leader's synchronisations.
type synced struct{ snaps, diffs int }

func syncs(t *testing.T, leader *ensemble.Member) (s synced) {
	t.Helper()
	for name, n := range map[string]*int{"zk_snap_count": &s.snaps, "zk_diff_count": &s.diffs} {
		var err error
		*n, err = strconv.Atoi(figure(t, leader, name))
		must(t, err)
	}
	return s
}

// truncations counts how often a member was told to forget the end of its log.
func truncations(m *ensemble.Member) int {
	log := m.LogTail(1 << 30)
	return strings.Count(log, "truncated the log") + strings.Count(log, "Truncating log to get in sync with the leader")
}

// moveSessions lets sessions begin at a server of one kind, go on at one of another, and be closed or expire there.
func moveSessions(t *testing.T, e *ensemble.Ensemble, m *matrix) {
	at := map[ensemble.Kind][]*ensemble.Member{ours: {e.Member(1), e.Member(4)}, apache: {e.Member(2), e.Member(5)}}
	leads := fmt.Sprintf("%v leads, ", e.Member(3).Kind)
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, role := range []string{"follower", "observer"} {
		for _, from := range []ensemble.Kind{ours, apache} {
			for _, to := range []ensemble.Kind{ours, apache} {
				for _, end := range []string{"closed", "expires"} {
					all.Go(func() {
						name := fmt.Sprintf("/%s-%v-%v-%s", role, from, to, end)
						err := moveSession(name, at[from][i], at[to][1-i], end == "closed", e.Members())
						if err != nil {
							t.Errorf("%s%s: %v", leads, name, err)
						}
						mu.Lock()
						defer mu.Unlock()
						m.set(fmt.Sprintf("%s%v %s", leads, from, role), fmt.Sprintf("%s at %v", end, to), map[bool]string{true: "gone everywhere", false: "FAILED"}[err == nil])
					})
				}
			}
		}
	}
	all.Wait()
}

func moveSession(name string, from, to *ensemble.Member, closed bool, members []*ensemble.Member) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var line leash
	line.to(from.Addr())
	c, err := client.Connect(from.Addr()+","+to.Addr(), client.Options{SessionTimeout: 4 * time.Second, Dial: line.dial})
	if err != nil {
		return err
	}
	defer c.Disconnect()
	if _, err := c.Create(ctx, name, nil, wire.OpenACL(), wire.FlagEphemeral, 0); err != nil {
		return err
	}
	before, err := c.Exists(ctx, name, false)
	if err != nil {
		return err
	}
	line.to(to.Addr())
	if err := ensemble.Until(patience, "the session at the other server", func() bool {
		_, err = c.Set(ctx, name, []byte("moved"), -1)
		return err == nil
	}); err != nil {
		return err
	}
	after, err := c.Exists(ctx, name, false)
	if err != nil {
		return err
	}
	if after.EphemeralOwner != before.EphemeralOwner || after.Version == 0 {
		return fmt.Errorf("the session has not moved: %+v, %+v", before, after)
	}
	if closed {
		c.Close(ctx)
	} else {
		c.Disconnect()
	}
	for _, m := range members {
		if err := goneAt(m, name, patience); err != nil {
			return err
		}
	}
	return nil
}

func goneAt(m *ensemble.Member, name string, limit time.Duration) error {
	reader, err := ensemble.Dial(15*time.Second, m.Addr())
	if err != nil {
		return err
	}
	defer reader.Close()
	return ensemble.Until(limit, fmt.Sprintf("%s is gone at member %d", name, m.ID), func() bool {
		exists, _, err := reader.Exists(name)
		return err == nil && !exists
	})
}

// leash lets a client connect to one server only, which may be another one later.
type leash struct {
	mu      sync.Mutex
	address string
	conn    net.Conn
}

func (l *leash) to(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = address
	if l.conn != nil {
		l.conn.Close()
	}
}

func (l *leash) dial(ctx context.Context, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if address != l.address {
		return nil, errors.New("not this one")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	l.conn = conn
	return conn, err
}

// TestRollingReplacement replaces each member of an ensemble of Apache ZooKeeper by a zkserver on the same files, and back
// again, while sessions write: no acknowledged write is lost, and no session.
func TestRollingReplacement(t *testing.T) {
	e := layOutWith(t, ensemble.Settings{
		TickTime: 200 * time.Millisecond, Extra: []string{"minSessionTimeout=400", "maxSessionTimeout=30000"},
	}, apache, apache, apache)
	must(t, e.Start())
	must(t, e.Await(patience))
	load, err := workload.StartPatient("/load", 20*time.Second, 6, e.Servers()...)
	must(t, err)
	t.Cleanup(load.Stop)
	for _, kind := range []ensemble.Kind{ours, apache} {
		for _, m := range e.Members() {
			load.Since()
			began := time.Now()
			mode := m.Mode()
			must(t, m.Stop())
			m.Kind = kind
			must(t, m.Start())
			must(t, e.Await(patience))
			must(t, load.Progress(3, patience))
			var sum workload.Strain
			for _, s := range load.Since() {
				sum.Disconnects += s.Disconnects
				sum.Failed += s.Failed
				sum.Acknowledged += s.Acknowledged
			}
			t.Logf("member %d, a %s, is a %v after %v: %d reconnections, %d answers lost, %d writes", m.ID, mode, kind,
				time.Since(began).Round(10*time.Millisecond), sum.Disconnects, sum.Failed, sum.Acknowledged)
		}
	}
	load.Pause()
	tree := dumped(t, e.Member(1))
	for _, broken := range load.Check(tree) {
		t.Error(broken)
	}
	must(t, e.NoDigestMismatches())
	load.Stop()
	must(t, e.StopIdle(patience))
	digest, err := e.SameDiskDigests()
	must(t, err)
	acknowledged, _ := load.Lost(tree)
	t.Logf("all of %d acknowledged creates are there; digest %#x", acknowledged, digest)
}
