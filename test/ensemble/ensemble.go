package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Settings are what the members' configurations have in common. Zero values take the defaults of New.
type Settings struct {
	TickTime  time.Duration // zoo.cfg tickTime; 500 ms, so that sessions and dead peers end fast
	Extra     []string      // further zoo.cfg lines
	Dir       string        // where the members live; a temporary directory otherwise, removed by Close
	Observers int           // how many of the last members are observers
	// OwnHosts gives each member a loopback address of its own for the ports of the ensemble.
	OwnHosts bool
	Admin    bool // each member has an AdminServer, see Member.Command
	// Dynamic lets the membership change while members run: reconfigEnabled, and an ensemble even of one. The members'
	// lines have their client addresses.
	Dynamic bool
	// Hosts are where the members run, one for each; loopback otherwise.
	Hosts     []Host
	KeepFiles bool // Close leaves the files of a temporary directory for a look afterwards
}

// Host is where a member runs: its address, which it has to itself, and the words before its command, such as
// ip netns exec NAME.
type Host struct {
	Addr string
	Run  []string
}

// Ensemble is a set of members on one machine. Not safe for concurrent use, except that members may be started and killed by
// one goroutine while others only read addresses.
type Ensemble struct {
	members  map[int]*Member
	settings Settings
	tempDir  string
}

// New lays out an ensemble whose member i+1 is of kind kinds[i], and starts nothing. A single kind makes a standalone
// server.
func New(settings Settings, kinds ...Kind) (*Ensemble, error) {
	settings.TickTime = cmp.Or(settings.TickTime, 500*time.Millisecond)
	e := &Ensemble{members: make(map[int]*Member), settings: settings}
	if settings.Dir == "" {
		dir, err := os.MkdirTemp("", "zk-ensemble-")
		if err != nil {
			return nil, err
		}
		e.tempDir, e.settings.Dir = dir, dir
	}
	ports, err := FreePorts(4 * len(kinds))
	if err != nil {
		return nil, err
	}
	var servers []string
	for i, kind := range kinds {
		m := e.add(i+1, kind, [4]int(ports[4*i:]))
		m.observer = i >= len(kinds)-settings.Observers
		servers = append(servers, m.Line())
	}
	if len(kinds) == 1 && !settings.Dynamic {
		servers = nil
	}
	for _, m := range e.members {
		if err := m.configure(e.settings, servers); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// add makes a member that has no files yet.
func (e *Ensemble) add(id int, kind Kind, ports [4]int) *Member {
	m := &Member{ID: id, Kind: kind, Dir: filepath.Join(e.settings.Dir, fmt.Sprint("member", id)), host: "127.0.0.1",
		ClientPort: ports[0], peerPort: ports[1], electionPort: ports[2], adminPort: ports[3], dynamic: e.settings.Dynamic}
	if e.settings.OwnHosts {
		m.host = fmt.Sprintf("127.0.0.%d", 1+id)
	}
	m.clientHost = "127.0.0.1"
	if id <= len(e.settings.Hosts) {
		host := e.settings.Hosts[id-1]
		m.host, m.clientHost, m.run = host.Addr, host.Addr, host.Run
		m.ClientPort, m.peerPort, m.electionPort = 2181, 2888, 3888
	}
	e.members[id] = m
	return m
}

// Members are all members in the order of their ids.
func (e *Ensemble) Members() []*Member {
	return slices.SortedFunc(maps.Values(e.members), func(a, b *Member) int { return a.ID - b.ID })
}

// Member is the member with this id, which must exist.
func (e *Ensemble) Member(id int) *Member { return e.members[id] }

// Servers are the client addresses of the given members, of all if none is given.
func (e *Ensemble) Servers(ids ...int) []string {
	var servers []string
	for _, m := range e.Members() {
		if len(ids) == 0 || slices.Contains(ids, m.ID) {
			servers = append(servers, m.Addr())
		}
	}
	return servers
}

// Connection is the connection string of all members.
func (e *Ensemble) Connection() string { return strings.Join(e.Servers(), ",") }

// Start starts the given members, all if none is given, and does not wait for them.
func (e *Ensemble) Start(ids ...int) error {
	for _, m := range e.Members() {
		if len(ids) > 0 && !slices.Contains(ids, m.ID) {
			continue
		}
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Modes asks every member for its mode: leader, follower, standalone, or "" while it does not serve.
func (e *Ensemble) Modes() map[int]string {
	modes := make(map[int]string)
	for _, m := range e.Members() {
		modes[m.ID] = m.Mode()
	}
	return modes
}

// Leader is the member that leads, nil if none says so.
func (e *Ensemble) Leader() *Member {
	for _, m := range e.Members() {
		if m.Mode() == "leader" {
			return m
		}
	}
	return nil
}

// Await waits until every running member serves, one of them as the leader.
func (e *Ensemble) Await(limit time.Duration) error {
	if len(e.members) == 1 && !e.settings.Dynamic {
		return Until(limit, "the standalone server serves", func() bool { return e.Members()[0].Mode() == "standalone" })
	}
	var modes map[int]string
	err := Until(limit, "one leader and everyone else following", func() bool {
		modes = e.Modes()
		leaders := 0
		for _, m := range e.Members() {
			switch {
			case modes[m.ID] == "leader":
				leaders++
			case m.Running() && modes[m.ID] != m.learns():
				return false
			}
		}
		return leaders == 1
	})
	if err != nil {
		return fmt.Errorf("%w (modes: %v)\n%s", err, modes, e.Logs(15))
	}
	return nil
}

// Logs are the last lines that each member logged.
func (e *Ensemble) Logs(lines int) string {
	var b strings.Builder
	for _, m := range e.Members() {
		fmt.Fprintf(&b, "--- member %d (%v, running %v)\n%s\n", m.ID, m.Kind, m.Running(), m.LogTail(lines))
	}
	return b.String()
}

// Close kills every process and removes the temporary directory.
func (e *Ensemble) Close() error {
	var errs []error
	for _, m := range e.members {
		errs = append(errs, m.Kill())
	}
	if e.tempDir != "" && !e.settings.KeepFiles {
		errs = append(errs, os.RemoveAll(e.tempDir))
	}
	return errors.Join(errs...)
}

// Until polls condition until it holds; the error after limit names what was waited for.
func Until(limit time.Duration, what string, condition func() bool) error {
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

var drawnPorts sync.Map // of int

// FreePorts finds n ports that nobody listens on, below the range that the kernel gives to outgoing connections: a port
// of a killed member then stays free until its restart. No port comes twice: clients may still know it as another's.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 2000 {
		port := 15000 + rand.IntN(17000)
		if _, drawn := drawnPorts.LoadOrStore(port, true); drawn {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found only %d of %d free ports", len(ports), n)
}
