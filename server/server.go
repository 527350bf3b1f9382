// Package server is a server around the value of package node: the goroutines that read sockets, write files and tell
// the time.
//
// One loop takes what happened in batches, lets the node decide under a lock, and hands its effects on: to the disk
// (disk.go), to the other servers (package peer), to the clients (package clientport). Requests that need nothing but
// the tree are answered on the goroutine of their connection, under the read side of the lock. Nothing that the loop
// calls waits; everything that feeds it may.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/audit"
	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/clientport"
	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/peer"
	"github.com/zkctl/zkctl/server/ratelog"
	"github.com/zkctl/zkctl/server/secure"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Options are what a server is told besides its configuration.
type Options struct {
	// Version is shown by the four-letter words.
	Version string
	Log     *slog.Logger
	// Ready is called once: when a standalone server serves, or a member of an ensemble has its ports open and looks
	// for a leader. May be nil.
	Ready func()
}

// defaultTraceMask is that of ZooTrace: requests of clients, quorum packets and warnings.
const defaultTraceMask = 306

// purgeDelay is how long a server waits with the first purge, so that a start is not slower for it.
const purgeDelay = time.Second

// Server is a running server.
type Server struct {
	cfg   *config.Config
	opts  Options
	log   *slog.Logger
	often *ratelog.Logger // for what clients cause
	began time.Time

	// mu guards node: the loop holds it to change anything, readers hold its read side.
	mu   sync.RWMutex
	node *node.Node

	inbox      *inbox
	disk       *disk
	peers      *peer.Peer // nil when standalone
	clients    *clientport.Port
	clientTLS  *secure.Context // nil without TLS, as the next ones
	quorumTLS  *secure.Context
	adminTLS   *secure.Context
	metricsTLS *secure.Context
	metrics    *metrics.Metrics
	audit      *auditLog // nil without
	operations operations
	policy     *auth.Policy // of operators; the node has one of its own
	proposals  proposals
	adminPort  net.Listener // nil without
	// traceMask is only kept for those who ask for it.
	traceMask atomic.Int64
	// leaderBacklogBytes is what may wait for the disk of a leader; see the constant.
	leaderBacklogBytes int
	// failure ends the loop with an error. It has room for one; later ones are consequences.
	failure chan error

	// Of the loop alone.
	effects []node.Effect
	role    node.Role
	// membersVersion is that of the membership that was logged last.
	membersVersion int64
	stopped        bool
	ready          bool
	ticks          int
	mismatches     int
}

// Run runs a server until ctx ends, which is a clean stop and returns nil, or until it cannot go on.
func Run(ctx context.Context, cfg *config.Config, opts Options) error {
	s := newServer(cfg, opts)
	var err error
	if s.audit, err = openAudit(&cfg.Audit, opts.Log); err != nil {
		return err
	}
	defer s.audit.close()
	if err := s.open(vfs.OS); err != nil {
		s.audit.server(audit.ServerStart, audit.Failure)
		if s.adminPort != nil {
			s.adminPort.Close()
		}
		return err
	}
	s.audit.server(audit.ServerStart, audit.Success)
	defer s.audit.server(audit.ServerStop, audit.Invoked)
	return s.run(ctx)
}

func newServer(cfg *config.Config, opts Options) *Server {
	s := &Server{
		cfg: cfg, opts: opts, log: opts.Log, often: ratelog.New(opts.Log), began: time.Now(),
		inbox: newInbox(), failure: make(chan error, 1), metrics: metrics.New(),
		leaderBacklogBytes: leaderBacklogBytes,
	}
	s.policy = auth.New(operatorOptions(cfg, s.metrics))
	s.traceMask.Store(defaultTraceMask)
	return s
}

// open reads the disk and opens the ports.
func (s *Server) open(disk vfs.FS) error {
	if err := s.openStores(); err != nil {
		return err
	}
	options := s.treeOptions()
	data := disk
	if !s.cfg.ForceSync {
		data = lazyLogs{disk}
	}
	opened, db, err := store.Open(data, s.cfg.LogDir(), s.cfg.SnapDir(), store.Options{
		Tree: options, PreallocBytes: s.cfg.PreAllocBytes, TrustEmpty: s.cfg.TrustEmptySnapshot,
		Compression: snap.Compression(s.cfg.SnapshotCompression), Metrics: s.metrics, Log: s.log,
		AddApplied: s.cfg.Storage.LastZxidInSnapshots, LogSizeLimitBytes: s.cfg.Storage.LogSizeLimitBytes,
		NoDirCreate: s.cfg.Storage.NoDirCreate, NoEmptyDB: s.cfg.Storage.NoEmptyDB && s.cfg.Distributed,
	})
	if errors.Is(err, store.ErrDirectory) {
		return &Failure{ExitDirectory, err}
	}
	if err != nil {
		return err
	}
	s.log.Info("state read", "zxid", db.LastZxid, "epoch", db.CurrentEpoch, "nodes", db.Tree.NodeCount(),
		"took", time.Since(s.began).Round(time.Millisecond))
	if s.node, err = node.New(s.nodeConfig(options), db); err != nil {
		return fmt.Errorf("%s: %w", s.cfg.SnapDir(), err)
	}
	s.metrics.DBInitTime.Took(time.Since(s.began))
	s.disk = newDisk(opened, s.cfg, s.log, s.mu.RLocker(), s.metrics)
	s.disk.deliver, s.disk.failed = s.inbox.put, func(err error) { s.fail(&Failure{ExitStorage, err}) }
	s.disk.taken = func(request uint64, zxid wire.Zxid) { s.operations.end(request, outcome{zxid: zxid}) }
	if err := s.openAdmin(); err != nil {
		return err
	}
	if err := s.openMembers(disk); err != nil {
		return err
	}
	if s.cfg.Distributed {
		s.peers = peer.New(s.peerConfig(options))
		if err := s.peers.Listen(); err != nil {
			return &Failure{ExitQuorumPort, err}
		}
	}
	if s.cfg.ClientAddress() != "" || s.cfg.SecureClientAddress() != "" || s.disk.members != nil {
		if s.clients, err = clientport.Listen(s.clientConfig()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) treeOptions() tree.Options {
	return tree.Options{
		NoDigest: s.cfg.Storage.NoDigest, ExtendedTypes: s.cfg.ExtendedTypes, Emulate353TTL: s.cfg.Emulate353TTL,
	}
}

func (s *Server) nodeConfig(options tree.Options) node.Config {
	c := node.Config{
		Self:     s.cfg.ServerID,
		TickTime: s.cfg.TickTime, InitLimitTicks: s.cfg.InitLimit, SyncLimitTicks: s.cfg.SyncLimit,
		ConnectTimeout:    time.Duration(s.cfg.ConnectLimit) * s.cfg.TickTime,
		MinSessionTimeout: s.cfg.MinSessionTimeout, MaxSessionTimeout: s.cfg.MaxSessionTimeout,
		MinNotificationInterval: s.cfg.Quorum.MinNotificationInterval,
		MaxNotificationInterval: s.cfg.Quorum.MaxNotificationInterval,
		MaxTimeToWaitForEpoch:   s.cfg.Quorum.MaxTimeToWaitForEpoch,
		Sync: zab.SyncPolicy{
			MaxSnaps: s.cfg.Quorum.MaxSnapSyncs, MaxDiffs: s.cfg.Quorum.MaxDiffSyncs,
			FromLog: s.cfg.Storage.SnapshotSizeFactor >= 0, ForceSnap: s.cfg.Storage.ForceSnapshotSync,
		},
		SnapCount: s.cfg.SnapCount, SnapSizeLimitBytes: s.cfg.SnapSizeLimitBytes, CommitLogCount: s.cfg.CommitLogCount,
		MaxTxnBytes:            s.cfg.MaxBufferBytes + s.cfg.ExtraSizeBytes,
		ContainerCheckInterval: s.cfg.ContainerCheckInterval, ContainerMaxPerMinute: s.cfg.ContainerMaxPerMinute,
		ContainerMaxNeverUsed: s.cfg.ContainerMaxNeverUsed,
		NoCloseSessionPaths:   s.cfg.Storage.NoCloseSessionPaths,
		Auth:                  authOptions(s.cfg, s.metrics), Audit: s.cfg.AuditEnabled, EagerACLCheck: s.cfg.EagerACLCheck,
		Tree:    options,
		Metrics: s.metrics, AckLoggingFrequency: s.cfg.AckLoggingFrequency,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	setLimits(&c, s.cfg)
	if s.cfg.Distributed {
		c.Members, c.LastSeen = &s.cfg.Members, s.cfg.LastSeen
		c.MultiAddress, c.CheckMembers = s.cfg.Quorum.MultiAddress, config.CheckMembers
		c.Oracle = s.asksOracle()
		c.ReconfigEnabled, c.StandaloneEnabled = s.cfg.ReconfigEnabled, s.cfg.StandaloneEnabled
	}
	return c
}

func (s *Server) peerConfig(options tree.Options) peer.Config {
	c := peer.Config{
		Self: s.cfg.ServerID, Members: &s.cfg.Members, LastSeen: s.cfg.LastSeen,
		ListenOnAllIPs: s.cfg.ListenOnAllIPs, KeepAlive: s.cfg.ElectionKeepAlive,
		ConnectTimeout: s.cfg.ElectionConnectTimeout, BindRetries: s.cfg.ElectionBindRetries,
		ObserverPort:    s.cfg.ObserverMasterPort,
		GreetingTimeout: s.cfg.Quorum.ElectionGreetingTimeout, LeaderRedial: s.cfg.Quorum.LeaderConnectDelay,
		MultiAddress: s.cfg.Quorum.MultiAddress, ReachabilityTimeout: s.cfg.Quorum.ReachabilityTimeout,
		FollowerDelay: s.cfg.Quorum.FollowerDelay, LeaderDelay: s.cfg.Quorum.LeaderDelay,
		SASL:     quorumSASL(&s.cfg.QuorumSASL),
		TickTime: s.cfg.TickTime, SyncLimitTicks: s.cfg.SyncLimit, InitLimitTicks: s.cfg.InitLimit,
		MaxPacketBytes: s.cfg.MaxBufferBytes + s.cfg.ExtraSizeBytes,
		Tree:           options, View: s.mu.RLocker(), Deliver: s.deliver, Metrics: s.metrics, Log: s.log,
	}
	s.secureMembers(&c)
	return c
}

func (s *Server) clientConfig() clientport.Config {
	c := clientport.Config{
		Address: s.cfg.ClientAddress(), Backlog: s.cfg.ListenBacklog, MaxFrameBytes: s.cfg.MaxBufferBytes,
		MaxPerAddress: s.cfg.MaxClientCnxns, Max: maxConnections(s.cfg, openFilesLimit()),
		OutstandingLimit: outstandingLimit(s.cfg), RequestBytes: requestBytes(s.cfg, memoryLimit()),
		LargeRequestThreshold: s.cfg.LargeRequestThreshold, LargeRequestMaxBytes: s.cfg.LargeRequestMaxBytes,
		SessionlessTimeout: s.cfg.SessionlessTimeout, KeepAlive: s.cfg.ClientKeepAlive,
		View: s.mu.RLocker(), Read: s.node.Read, Deliver: s.deliver,
		Word:    func(word, argument string) string { return admin.Answer(source{s}, word, argument) },
		Metrics: s.metrics,
		Log:     s.log,
	}
	s.secureClients(&c)
	return c
}

// deliver takes inputs from the network. A learner whose disk is slow reads no further proposals until it has less to do than
// would fill the memory. Nothing else waits for that: requests are bounded where clients send them, and behind the requests
// of a learner come its acknowledgements, without which the ensemble would stand still.
func (s *Server) deliver(inputs []node.Input) {
	if slices.ContainsFunc(inputs, isProposal) {
		s.disk.awaitRoom()
	}
	s.inbox.put(inputs)
}

func isProposal(in node.Input) bool {
	p, ok := in.(node.PacketReceived)
	return ok && (p.Packet.Type == wire.PacketProposal || p.Packet.Type == wire.PacketInform)
}

// fail ends the server with an error.
func (s *Server) fail(err error) {
	if err != nil {
		s.metrics.UnrecoverableErrorCount.Add(1)
	}
	select {
	case s.failure <- err:
	default:
	}
}

// run starts the goroutines and ends them.
func (s *Server) run(ctx context.Context) error {
	helpers, stop := context.WithCancel(context.Background())
	group, helpers := errgroup.WithContext(helpers)
	group.Go(func() error { s.disk.run(helpers); return nil })
	if s.peers != nil {
		group.Go(func() error { return s.peers.Run(helpers) })
	}
	if s.clients != nil {
		if address := s.clients.Address(); address != nil {
			s.log.Info("client port open", "address", address)
		}
		if address := s.clients.SecureAddress(); address != nil {
			s.log.Info("secure client port open", "address", address)
		}
		group.Go(func() error { return s.clients.Run(helpers) })
	}
	for _, tls := range []*secure.Context{s.clientTLS, s.quorumTLS, s.adminTLS, s.metricsTLS} {
		if tls != nil {
			group.Go(func() error { tls.Run(helpers); return nil })
		}
	}
	if s.adminPort != nil {
		group.Go(func() error { return s.serveAdmin(helpers) })
	}
	if s.cfg.Metrics.Address != "" || s.cfg.Metrics.SecureAddress != "" {
		group.Go(func() error { return s.serveMetrics(helpers) })
	}
	if s.cfg.Metrics.Pauses.Watched {
		group.Go(func() error { s.watchPauses(helpers); return nil })
	}
	if s.cfg.PurgeInterval > 0 {
		group.Go(func() error { s.purge(helpers); return nil })
	}
	if s.asksOracle() {
		group.Go(func() error { s.askOracle(helpers); return nil })
	}
	go func() {
		<-helpers.Done() // one of them failed, or the loop has ended
		s.fail(nil)
	}()
	err := s.loop(ctx)
	s.inbox.close()
	stop()
	return errors.Join(err, group.Wait())
}

// purge lets the disk delete old files now and then.
func (s *Server) purge(ctx context.Context) {
	wait := purgeDelay
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			s.disk.add(purge{})
			wait = s.cfg.PurgeInterval
		}
	}
}
