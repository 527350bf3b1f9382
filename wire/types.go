package wire

import (
	"fmt"
	"strconv"
)

// Zxid numbers a transaction: the epoch of its leader in the upper half, a counter in the lower. -1 stands for none.
// Zxids are compared as signed numbers.
type Zxid int64

// MakeZxid puts a zxid together.
func MakeZxid(epoch Epoch, counter uint32) Zxid { return Zxid(int64(epoch)<<32 | int64(counter)) }

// Epoch is the epoch of the leader that gave the zxid.
func (z Zxid) Epoch() Epoch { return Epoch(z >> 32) }

// Counter is the number within the epoch; 0 belongs to no transaction.
func (z Zxid) Counter() uint32 { return uint32(z) }

// String is 0x and the unsigned number in lower-case hex.
func (z Zxid) String() string { return "0x" + strconv.FormatUint(uint64(z), 16) }

// Epoch numbers the terms of leaders.
type Epoch int64

// ServerID is the myid of a server.
type ServerID int64

// SessionID names a session; its top byte is the id of the server that opened it. 0 is none.
type SessionID int64

// String is 0x and the unsigned number in lower-case hex.
func (s SessionID) String() string { return "0x" + strconv.FormatUint(uint64(s), 16) }

// OpCode is the type of a request or transaction.
type OpCode int32

// The types of requests and transactions (org.apache.zookeeper.ZooDefs.OpCode).
const (
	OpNotification         OpCode = 0
	OpCreate               OpCode = 1
	OpDelete               OpCode = 2
	OpExists               OpCode = 3
	OpGetData              OpCode = 4
	OpSetData              OpCode = 5
	OpGetACL               OpCode = 6
	OpSetACL               OpCode = 7
	OpGetChildren          OpCode = 8
	OpSync                 OpCode = 9
	OpPing                 OpCode = 11
	OpGetChildren2         OpCode = 12
	OpCheck                OpCode = 13
	OpMulti                OpCode = 14
	OpCreate2              OpCode = 15
	OpReconfig             OpCode = 16
	OpCheckWatches         OpCode = 17
	OpRemoveWatches        OpCode = 18
	OpCreateContainer      OpCode = 19
	OpDeleteContainer      OpCode = 20
	OpCreateTTL            OpCode = 21
	OpMultiRead            OpCode = 22
	OpAuth                 OpCode = 100
	OpSetWatches           OpCode = 101
	OpSASL                 OpCode = 102
	OpGetEphemerals        OpCode = 103
	OpGetAllChildrenNumber OpCode = 104
	OpSetWatches2          OpCode = 105
	OpAddWatch             OpCode = 106
	OpWhoAmI               OpCode = 107
	OpCreateSession        OpCode = -10
	OpCloseSession         OpCode = -11
	OpError                OpCode = -1
)

var opNames = map[OpCode]string{
	OpNotification: "notification", OpCreate: "create", OpDelete: "delete", OpExists: "exists", OpGetData: "getData",
	OpSetData: "setData", OpGetACL: "getACL", OpSetACL: "setACL", OpGetChildren: "getChildren", OpSync: "sync",
	OpPing: "ping", OpGetChildren2: "getChildren2", OpCheck: "check", OpMulti: "multi", OpCreate2: "create2",
	OpReconfig: "reconfig", OpCheckWatches: "checkWatches", OpRemoveWatches: "removeWatches",
	OpCreateContainer: "createContainer", OpDeleteContainer: "deleteContainer", OpCreateTTL: "createTTL",
	OpMultiRead: "multiRead", OpAuth: "auth", OpSetWatches: "setWatches", OpSASL: "sasl",
	OpGetEphemerals: "getEphemerals", OpGetAllChildrenNumber: "getAllChildrenNumber", OpSetWatches2: "setWatches2",
	OpAddWatch: "addWatch", OpWhoAmI: "whoAmI", OpCreateSession: "createSession", OpCloseSession: "closeSession",
	OpError: "error",
}

// String is the name that ZooKeeper uses.
func (o OpCode) String() string {
	if name, ok := opNames[o]; ok {
		return name
	}
	return fmt.Sprintf("op %d", int32(o))
}

// ErrCode is the outcome of a request, as clients are told.
type ErrCode int32

// The outcomes of requests (org.apache.zookeeper.KeeperException.Code).
const (
	ErrOK                       ErrCode = 0
	ErrSystem                   ErrCode = -1
	ErrRuntimeInconsistency     ErrCode = -2
	ErrDataInconsistency        ErrCode = -3
	ErrConnectionLoss           ErrCode = -4 // of clients
	ErrMarshalling              ErrCode = -5
	ErrUnimplemented            ErrCode = -6
	ErrOperationTimeout         ErrCode = -7 // of clients
	ErrBadArguments             ErrCode = -8
	ErrUnknownSession           ErrCode = -12
	ErrNewConfigNoQuorum        ErrCode = -13
	ErrReconfigInProgress       ErrCode = -14
	ErrNoNode                   ErrCode = -101
	ErrNoAuth                   ErrCode = -102
	ErrBadVersion               ErrCode = -103
	ErrNoChildrenForEphemerals  ErrCode = -108
	ErrNodeExists               ErrCode = -110
	ErrNotEmpty                 ErrCode = -111
	ErrSessionExpired           ErrCode = -112
	ErrInvalidCallback          ErrCode = -113 // of clients
	ErrInvalidACL               ErrCode = -114
	ErrAuthFailed               ErrCode = -115
	ErrSessionMoved             ErrCode = -118
	ErrNotReadOnly              ErrCode = -119
	ErrEphemeralOnLocalSession  ErrCode = -120
	ErrNoWatcher                ErrCode = -121
	ErrRequestTimeout           ErrCode = -122 // of clients
	ErrReconfigDisabled         ErrCode = -123
	ErrSessionClosedRequireSASL ErrCode = -124
	ErrQuotaExceeded            ErrCode = -125
	ErrThrottledOp              ErrCode = -127
)

// Perms are bits of permissions in access control lists.
type Perms int32

// The permissions (org.apache.zookeeper.ZooDefs.Perms).
const (
	PermRead   Perms = 1 << 0
	PermWrite  Perms = 1 << 1
	PermCreate Perms = 1 << 2
	PermDelete Perms = 1 << 3
	PermAdmin  Perms = 1 << 4
	PermAll    Perms = 31
)

// EventType is what a watch reports.
type EventType int32

// The events that servers send (org.apache.zookeeper.Watcher.Event.EventType).
const (
	NodeCreated         EventType = 1
	NodeDeleted         EventType = 2
	NodeDataChanged     EventType = 3
	NodeChildrenChanged EventType = 4
)

// SyncConnected is the state of every event that a server sends.
const SyncConnected = 3

// Reserved xids.
const (
	XidWatch      = -1
	XidPing       = -2
	XidAuth       = -4
	XidSetWatches = -8
)

// ServerState is the state of a server as votes have it.
type ServerState int32

// The states (org.apache.zookeeper.server.quorum.QuorumPeer.ServerState).
const (
	Looking ServerState = iota
	Following
	Leading
	Observing
)
