// Package peer is what a server says to the other members: the sockets of the election port, a mesh in which each pair
// of servers shares one connection for votes (org.apache.zookeeper.server.quorum.QuorumCnxManager), and those of the
// quorum port, on which a leader serves its learners (LearnerHandler, Learner).
//
// It decides nothing. It carries out effects of package node and hands what arrives to Config.Deliver; what a vote or a
// packet means is not its business.
//
// Timeouts here only notice what the node cannot: a handshake or a first packet that does not come, a snapshot stream
// that stops, bytes that a socket does not take. That a learner or a leader is silent is for the node to judge.
package peer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/ratelog"
	"github.com/zkctl/zkctl/server/secure"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// Config is what the sockets need to know.
type Config struct {
	Self wire.ServerID
	// Members are all members with their addresses, this server included, as long as Peer.MembersChanged does not say
	// otherwise. Names are resolved whenever they are needed.
	Members *quorum.Config
	// LastSeen is a membership that may follow, whose members can connect, too; nil without one.
	LastSeen *quorum.Config
	// ListenOnAllIPs opens both ports on every address instead of the configured one (quorumListenOnAllIPs).
	ListenOnAllIPs bool
	// KeepAlive switches TCP keep-alive on for connections between election ports (tcpKeepAlive).
	KeepAlive bool
	// ConnectTimeout bounds opening a connection to an election port (cnxTimeout); 0 for 5 s.
	ConnectTimeout time.Duration
	// GreetingTimeout is how long a connection to the election port may take to say who it is (quorumCnxnTimeoutMs); not
	// positive for syncLimit.
	GreetingTimeout time.Duration
	// LeaderRedial is the time between two attempts to connect to a leader (leaderConnectDelayDuringRetryMs), shorter at the
	// beginning; 0 for 100 ms.
	LeaderRedial time.Duration
	// MultiAddress has greetings name all addresses of this server, as servers since 3.6 understand them
	// (multiAddress.enabled).
	MultiAddress bool
	// ReachabilityTimeout is how long a server with several addresses may not confirm votes until it is called at another
	// (multiAddress.reachabilityCheckTimeoutMs); 0 for ConnectTimeout.
	ReachabilityTimeout time.Duration
	// FollowerDelay and LeaderDelay let TCP collect small packets to the leader and to learners (follower.nodelay,
	// leader.nodelay).
	FollowerDelay, LeaderDelay bool
	// SASL is how servers authenticate each other.
	SASL SASL
	// TLS does the handshakes; nil for no TLS. DialTLS has connections opened with it (sslQuorum), AcceptPlain lets plain
	// ones in beside it (portUnification).
	TLS                  *secure.Context
	DialTLS, AcceptPlain bool
	// ObserverPort is the port for observers of each server (observerMasterPort); 0 for none.
	ObserverPort int
	// BindRetries is how often Listen tries to bind the election port, a second apart; 0 is for ever.
	BindRetries int

	TickTime       time.Duration
	SyncLimitTicks int
	InitLimitTicks int
	// MaxPacketBytes bounds each field of a packet that is read; 0 for 2 MiB.
	MaxPacketBytes int

	// Tree is how the tree of a received snapshot reads its nodes.
	Tree tree.Options
	// View is held while a piece of a tree is read for a snapshot; the tree must not change meanwhile.
	View sync.Locker
	// Deliver takes what happened. It is called from many goroutines; inputs of one connection come in order. It may
	// block, but not once the context of Run has ended. The slice is the callee's.
	Deliver func([]node.Input)
	// Metrics is where queues are measured; nil for nowhere.
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.LeaderRedial <= 0 {
		c.LeaderRedial = 100 * time.Millisecond
	}
	if c.GreetingTimeout <= 0 {
		c.GreetingTimeout = max(c.syncLimit(), time.Second)
	}
	if c.MaxPacketBytes <= 0 {
		c.MaxPacketBytes = 2 << 20
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	return c
}

func (c Config) initLimit() time.Duration { return time.Duration(c.InitLimitTicks) * c.TickTime }
func (c Config) syncLimit() time.Duration { return time.Duration(c.SyncLimitTicks) * c.TickTime }

// stallTimeout is how long a socket may take no byte, or bring none in the middle of a snapshot.
func (c Config) stallTimeout() time.Duration { return c.initLimit() + c.syncLimit() }

// Stats counts what has gone over the sockets since the start.
type Stats struct {
	// ElectionConnections and QuorumConnections are those open now.
	ElectionConnections, QuorumConnections int
	NotificationsSent, NotificationsRead   int64
	PacketsSent, PacketsRead               int64
	SnapshotsSent, SnapshotsRead           int64
	// QueuedBytes wait to be written to quorum connections now.
	QueuedBytes int64
}

// Peer is the sockets of one server. Its methods are safe for concurrent use; those that carry out effects never block
// and do nothing once Run has ended.
type Peer struct {
	cfg          Config
	log          *slog.Logger
	often        *ratelog.Logger
	ctx          context.Context // ends with Run
	cancel       context.CancelFunc
	wg           sync.WaitGroup
	mesh         *mesh
	port         *port
	observerPort *port

	members members

	mu    sync.Mutex
	ended bool
	open  map[io.Closer]struct{} // listeners and sockets
	conns map[node.ConnID]*conn

	lastAccepted atomic.Uint64

	notificationsSent, notificationsRead atomic.Int64
	packetsSent, packetsRead             atomic.Int64
	snapshotsSent, snapshotsRead         atomic.Int64
}

// New returns the sockets of a server. Goroutines that its methods start end in Run, which must be called.
func New(cfg Config) *Peer {
	cfg = cfg.withDefaults()
	p := &Peer{
		cfg: cfg, log: cfg.Log, often: ratelog.New(cfg.Log), open: make(map[io.Closer]struct{}), conns: make(map[node.ConnID]*conn),
	}
	p.members.set(cfg.Self, cfg.Members, cmp.Or(cfg.LastSeen, cfg.Members))
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mesh = newMesh(p)
	p.port = newPort(p, "quorum", func() []string { return p.listed().QuorumAddresses() })
	p.observerPort = newPort(p, "observer", func() []string { return p.observerAddresses(p.listed().QuorumAddresses()) })
	return p
}

// refused logs why a connection ends on which something else came than what a server says first. Who says nothing at all
// looked whether the port is open.
func (p *Peer) refused(which string, sock net.Conn, err error) {
	if errors.Is(err, io.EOF) {
		p.log.Debug("connection without a word", "port", which, "remote", remote(sock))
		return
	}
	p.often.Warn("connection closed: it does not begin as that of a server", "port", which, "remote", remote(sock), "error", err)
}

// Listen opens the election port. Its error names the address and what to do.
func (p *Peer) Listen() error { return p.mesh.listen() }

// Run serves both ports until ctx ends; then everything is closed at once. When it returns, nothing is open and no
// goroutine is left.
func (p *Peer) Run(ctx context.Context) error {
	p.spawn(p.mesh.run)
	p.spawn(p.port.run)
	p.spawn(p.observerPort.run)
	<-ctx.Done()
	p.end()
	p.wg.Wait()
	return nil
}

func (p *Peer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.cancel()
	for c := range p.open {
		c.Close()
	}
	clear(p.open)
}

// spawn starts a goroutine for which Run waits. After the end it does nothing.
func (p *Peer) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.wg.Go(f)
	return true
}

// track takes care that c is closed at the end at the latest; if that is now, c is closed and the answer is false.
func (p *Peer) track(c io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

// close closes what was tracked.
func (p *Peer) close(c io.Closer) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	began := time.Now()
	c.Close()
	p.cfg.Metrics.SocketClosingTime.Took(time.Since(began))
}

func (p *Peer) deliver(in ...node.Input) {
	if p.ctx.Err() == nil && len(in) > 0 {
		p.cfg.Deliver(in)
	}
}

// pause waits; it is false when the wait was ended by the end.
func (p *Peer) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// listenAddresses are where to listen for addresses of this server.
func (p *Peer) listenAddresses(addresses []string) []string {
	if !p.cfg.ListenOnAllIPs {
		return addresses
	}
	var list []string
	for _, address := range addresses {
		if _, port, err := net.SplitHostPort(address); err == nil {
			address = ":" + port
		}
		if !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// Stats returns the counters.
func (p *Peer) Stats() Stats {
	s := Stats{
		ElectionConnections: p.mesh.connected(),
		NotificationsSent:   p.notificationsSent.Load(), NotificationsRead: p.notificationsRead.Load(),
		PacketsSent: p.packetsSent.Load(), PacketsRead: p.packetsRead.Load(),
		SnapshotsSent: p.snapshotsSent.Load(), SnapshotsRead: p.snapshotsRead.Load(),
	}
	p.mu.Lock()
	conns := slices.Collect(maps.Values(p.conns))
	p.mu.Unlock()
	s.QuorumConnections = len(conns)
	for _, c := range conns {
		c.mu.Lock()
		s.QueuedBytes += int64(c.queuedBytes)
		c.mu.Unlock()
	}
	return s
}
