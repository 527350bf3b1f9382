// Package config reads zoo.cfg, the files it names, and myid, with the meaning that Apache ZooKeeper's
// QuorumPeerConfig gives them, so that a member can change from one server to the other without a change of
// configuration.
//
// What it does differently: a value that makes no sense refuses the start, also where Java falls back to a default in
// silence, and all such values are reported at once; a key that nobody knows is a warning with the nearest known one;
// a key that Apache knows and this server does not act on is a warning that says so, or a refusal where ignoring it
// would weaken security.
package config

import (
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// Config is a checked configuration. Load and Parse fill in every default.
type Config struct {
	// File is the path of zoo.cfg as given.
	File string
	// Notices are warnings: the server starts, but not everything may be as its operator thinks.
	Notices []Problem

	// DataDir holds myid, and snapshots in its directory version-2. DataLogDir holds the txn logs in the same way
	// and is DataDir where not set.
	DataDir, DataLogDir string

	// ClientPort is the plain client port; 0 means none. ClientHost is the address to listen on, "" for all.
	ClientPort int
	ClientHost string

	// ListenBacklog is how many connections of clients may wait to be accepted; not positive for what the system allows.
	ListenBacklog int

	TickTime time.Duration
	// InitLimit and SyncLimit are ticks; ConnectLimit is connectToLearnerMasterLimit and equals InitLimit where not
	// set.
	InitLimit, SyncLimit, ConnectLimit int
	// MinSessionTimeout and MaxSessionTimeout bound what a client may ask for.
	MinSessionTimeout, MaxSessionTimeout time.Duration

	// MaxClientCnxns limits connections of one address, MaxCnxns all of them; 0 is unlimited.
	MaxClientCnxns, MaxCnxns int
	// GlobalOutstandingLimit is the number of requests in process above which clients with requests in process are
	// not read.
	GlobalOutstandingLimit int
	// MaxBufferBytes is jute.maxbuffer: the longest client frame. ExtraSizeBytes comes on top for records between
	// servers and on disk.
	MaxBufferBytes, ExtraSizeBytes int
	// SessionlessTimeout is how long a connection may stay without a session.
	SessionlessTimeout time.Duration
	// ClientKeepAlive and ElectionKeepAlive switch TCP keep-alive on.
	ClientKeepAlive, ElectionKeepAlive bool
	// LeaderServes says whether a leader takes clients.
	LeaderServes bool
	Sessions
	Limits
	Observers
	Reconfig

	// SnapCount and SnapSizeLimitBytes bound the txns between two snapshots; the latter is off where not positive.
	SnapCount          int
	SnapSizeLimitBytes int64
	// PreAllocBytes is the step in which log files grow.
	PreAllocBytes int64
	// CommitLogCount is the number of committed txns kept in memory for learners.
	CommitLogCount int
	// ForceSync false means that the log is not synced: acknowledged writes can be lost.
	ForceSync bool
	// FsyncWarning is how long an fsync may take without a line in the log.
	FsyncWarning time.Duration
	// SnapshotCompression is "", "gz" or "snappy".
	SnapshotCompression string
	// TrustEmptySnapshot accepts logs without any snapshot.
	TrustEmptySnapshot bool
	Storage            Storage
	// PurgeInterval is how often old snapshots and logs are deleted, 0 never; SnapRetainCount how many snapshots
	// stay, at least 3.
	PurgeInterval   time.Duration
	SnapRetainCount int

	// ExtendedTypes enables TTL nodes.
	ExtendedTypes bool
	// ContainerCheckInterval is how often empty containers and expired TTL nodes are looked for; ContainerMaxPerMinute
	// limits their deletion; ContainerMaxNeverUsed is the age at which a container that never had a child goes, 0
	// never.
	ContainerCheckInterval time.Duration
	ContainerMaxPerMinute  int
	ContainerMaxNeverUsed  time.Duration
	Access
	Audit

	// FourLetterWords are the commands that clients may send; "*" stands for all. srvr is allowed always.
	FourLetterWords []string
	// Admin is the AdminServer.
	Admin Admin
	// Source is what was read, for operators.
	Source Source
	// Metrics is how what the server measures is shown.
	Metrics Metrics
	// TLS is how connections are encrypted.
	TLS TLS

	// Distributed says whether this is a member of an ensemble; a standalone server ignores what follows.
	Distributed bool
	// ServerID is what myid says.
	ServerID wire.ServerID
	// Members is the configuration of the ensemble.
	Members quorum.Config
	// Servers are the server lines by id. A standalone server has none or one.
	Servers []quorum.Member
	// Observer says whether Members has this server as an observer.
	Observer bool
	// QuorumSASL is how members authenticate each other.
	QuorumSASL QuorumSASL
	// ListenOnAllIPs opens quorum and election port on every address instead of the configured one.
	ListenOnAllIPs bool
	Quorum         Quorum
	// ElectionConnectTimeout bounds opening a connection to an election port.
	ElectionConnectTimeout time.Duration
	// AckLoggingFrequency is of how many txns a leader measures one for the time until each server acknowledges it, 0 for
	// none.
	AckLoggingFrequency int
	// ElectionBindRetries is how often binding a port of the ensemble is tried, a second apart; 0 is for ever.
	ElectionBindRetries int
}

// ClientAddress is the address to listen on for clients, or "" without a client port.
func (c *Config) ClientAddress() string {
	if c.ClientPort == 0 {
		return ""
	}
	return net.JoinHostPort(c.ClientHost, strconv.Itoa(c.ClientPort))
}

// SnapDir is the directory of the snapshots and of the epoch files.
func (c *Config) SnapDir() string { return filepath.Join(c.DataDir, "version-2") }

// LogDir is the directory of the txn logs.
func (c *Config) LogDir() string { return filepath.Join(c.DataLogDir, "version-2") }

func defaults(file string) *Config {
	return &Config{
		File:                   file,
		ListenBacklog:          -1,
		TickTime:               3000 * time.Millisecond,
		MaxClientCnxns:         60,
		GlobalOutstandingLimit: 1000,
		MaxBufferBytes:         0xfffff,
		SessionlessTimeout:     10 * time.Second,
		LeaderServes:           true,
		Limits:                 defaultLimits(),
		Observers:              defaultObservers(),
		SnapCount:              100000,
		SnapSizeLimitBytes:     4194304 << 10,
		PreAllocBytes:          65536 << 10,
		CommitLogCount:         500,
		ForceSync:              true,
		FsyncWarning:           time.Second,
		SnapRetainCount:        3,
		Storage:                defaultStorage(),
		ContainerCheckInterval: time.Minute,
		ContainerMaxPerMinute:  10000,
		FourLetterWords:        []string{"srvr"},
		Quorum:                 defaultQuorum(),
		ElectionConnectTimeout: 5 * time.Second,
		ElectionBindRetries:    3,
		TLS:                    defaultTLS(),
		AckLoggingFrequency:    1000,
		Metrics:                defaultMetrics(),
		Reconfig:               Reconfig{StandaloneEnabled: true},
		Admin:                  defaultAdmin(),
	}
}
