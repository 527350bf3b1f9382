package node

import (
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Now is the time at which an input happened, read by the caller.
type Now struct {
	// Mono never goes back; every timeout is measured with it.
	Mono time.Duration
	// WallMillis is milliseconds since the Unix epoch; it only ever goes into txn headers.
	WallMillis int64
}

// ConnID names one connection of the quorum port for the life of the process; it is never reused.
// Connections that this server opens get their id from the node (DialLeader), accepted ones from the shell,
// which takes even numbers; the node takes odd ones.
type ConnID uint64

// ClientID names one connection of the client port for the life of the process; it is never reused.
type ClientID uint64

// Input is something that happened. Inputs of one connection arrive in the order in which they happened.
type Input interface{ input() }

type (
	// Tick lets time pass. The caller sends one every TickInterval (see Config).
	Tick struct{}

	// NotificationReceived is a vote that arrived on the election port.
	NotificationReceived struct {
		From         wire.ServerID
		Notification wire.Notification
	}

	// LearnerAccepted is a connection that a learner opened to this server's quorum port.
	LearnerAccepted struct {
		Conn   ConnID
		Remote string
	}
	// LeaderConnected answers DialLeader.
	LeaderConnected struct{ Conn ConnID }
	// PacketReceived is one packet of the quorum port.
	PacketReceived struct {
		Conn   ConnID
		Packet wire.QuorumPacket
	}
	// SnapshotReceived follows the PacketReceived of a SNAP: the tree of its stream, whole and signature checked.
	SnapshotReceived struct {
		Conn     ConnID
		Database *Database
	}
	// SnapshotSent answers SendSnapshot: the stream has been read from the tree to its end, though it may still be on its
	// way. Not sent if the connection closes before.
	SnapshotSent struct{ Conn ConnID }
	// LogRead answers ReadLog.
	LogRead struct {
		Conn ConnID
		// Txns are those behind After, each with the one that comes after it; none if they cannot be read, or are too many.
		Txns []txn.Entry
	}
	// ConnClosed says that a quorum connection (opened, accepted or being dialled) is gone, whoever ended it.
	ConnClosed struct {
		Conn ConnID
		Err  error
	}

	// OracleSaid tells whether the oracle lets this server lead without the other of two voters; false before the first one.
	OracleSaid struct{ Alone bool }

	// StorageDone reports that the storage effect with this ID, and with it every earlier one, is durable.
	// Snapshots in the background (TakeSnapshot with Background) are reported on their own.
	StorageDone struct {
		ID uint64
		// Database is what was read back from disk after Truncate or Reload.
		Database *Database
		// Err is set only where the effect says that it may fail; any other failure stops the server.
		Err error
	}

	// ClientConnected is a ConnectRequest that arrived as the first frame of a client connection.
	ClientConnected struct {
		Client  ClientID
		Request wire.ConnectRequest
		// Remote is the address that scheme ip authenticates.
		Remote netip.Addr
		// Secure tells that the connection is one of TLS; Certificates are the verified ones of the client, its own first,
		// and none if it has shown none.
		Secure       bool
		Certificates []*x509.Certificate
	}
	// ClientRequest is one later frame of a client. The node owns Body from here on.
	ClientRequest struct {
		Client ClientID
		Header wire.RequestHeader
		Body   []byte
	}
	// ClientClosed says that the client connection is gone, whoever ended it.
	ClientClosed struct{ Client ClientID }
	// SnapshotWanted asks for a snapshot besides those that are taken anyway. TakeSnapshot has Request among its Requests,
	// or Operated says why there is none.
	SnapshotWanted struct{ Request uint64 }
	// Restore puts a tree, which the node owns from here on, in the place of the state; see handleRestore. Operated tells
	// what came of it. The tree's zxid is the newest of which it may show effects.
	Restore struct {
		Request uint64
		Tree    *tree.Tree
	}
	// ClientsTouched names clients that sent something which did not pass the node (reads answered by Read).
	ClientsTouched struct{ Clients []ClientID }
)

// Effect is something that the caller must do. Effects are carried out in order for each kind of target: storage
// effects strictly one after the other, frames and packets of one connection in order.
type Effect interface{ effect() }

type (
	// SendNotification sends a vote to the election port of a server. Only the newest one to each server
	// matters: a waiting one is replaced.
	SendNotification struct {
		To           wire.ServerID
		Notification wire.Notification
	}

	// OpenQuorumPort and CloseQuorumPort start and stop accepting learners.
	OpenQuorumPort  struct{}
	CloseQuorumPort struct{}
	// OpenObserverPort and CloseObserverPort start and stop accepting observers on a follower (observerMasterPort). They
	// arrive as LearnerAccepted.
	OpenObserverPort  struct{}
	CloseObserverPort struct{}
	// DialLeader opens a connection to the quorum port of a server, or to its port for observers; answered by
	// LeaderConnected or ConnClosed. The caller retries until Timeout is over, and when it is refused for a while only: Leads
	// tells that the server has said that it leads, so that its port has been open, and is closed for good.
	DialLeader struct {
		Conn                ConnID
		Leader              wire.ServerID
		ObserverPort, Leads bool
		Timeout             time.Duration
	}
	// SendPacket sends one packet. Data is shared and must not be changed.
	SendPacket struct {
		Conn   ConnID
		Packet wire.QuorumPacket
	}
	// SendSnapshot sends a SNAP packet and the stream of the tree as it is at this moment or later (fuzzy),
	// between the packets sent before and those sent after it. Zxid is that of the SNAP packet. Answered by
	// SnapshotSent once the tree need not be read any more.
	SendSnapshot struct {
		Conn ConnID
		Zxid wire.Zxid
		Tree *tree.Tree
	}
	// ReadLog reads the txns behind After, up to UpTo or fewer, from the log, beside everything else that the disk does;
	// answered by LogRead.
	ReadLog struct {
		Conn        ConnID
		After, UpTo wire.Zxid
	}
	// CloseConn closes a quorum connection after everything sent to it so far was written or could not be.
	CloseConn struct{ Conn ConnID }

	// Append adds a txn to the log. Consecutive ones share one fsync; answered by StorageDone.
	Append struct {
		ID   uint64
		Zxid wire.Zxid
		Txn  []byte // header, record and digest: the same bytes that a PROPOSAL carries
	}
	// RollLog lets the next Append begin a new file.
	RollLog struct{ ID uint64 }
	// SaveEpoch replaces acceptedEpoch or currentEpoch.
	SaveEpoch struct {
		ID      uint64
		Current bool // currentEpoch, else acceptedEpoch
		Epoch   wire.Epoch
	}
	// SaveMembers makes the last committed and the last proposed membership those that the next start begins with.
	SaveMembers struct {
		ID                uint64
		Members, LastSeen *quorum.Config
	}
	// TakeSnapshot writes the tree as snapshot.<Zxid>. In the background it is fuzzy and delays nothing;
	// otherwise it is written before the next storage effect and the tree does not change meanwhile.
	TakeSnapshot struct {
		ID         uint64
		Zxid       wire.Zxid
		Tree       *tree.Tree
		Background bool
		// Requests are those of SnapshotWanted that this is for.
		Requests []uint64
		// Supersede deletes, once this snapshot is durable, every other log and snapshot: after a SNAP from the
		// leader they may hold txns of a lost branch, below Zxid as well as above.
		Supersede bool
	}
	// Truncate removes every txn above Zxid from the logs, and every snapshot that may hold one, and reads the
	// rest back. StorageDone carries the database, or an Err when what would remain is not complete.
	Truncate struct {
		ID   uint64
		Zxid wire.Zxid
	}
	// Reload reads the database back from disk.
	Reload struct{ ID uint64 }

	// SendFrame sends a reply or watch event (without the length prefix) to a client.
	SendFrame struct {
		Client ClientID
		Frame  []byte
	}
	// CloseClient closes a client connection after the frames sent to it so far.
	CloseClient struct{ Client ClientID }

	// QuotaExceeded reports a request beyond a quota, which was refused if the limit is a hard one.
	QuotaExceeded struct{ tree.QuotaExcess }
	// MembersChanged tells of the last committed and the last proposed membership, for the connections to other members and
	// the own addresses.
	MembersChanged struct{ Members, LastSeen *quorum.Config }
	// Operated answers SnapshotWanted, if there is no snapshot, and Restore.
	Operated struct {
		Request uint64
		Zxid    wire.Zxid // of the restored state
		Err     error
	}
	// RoleChanged reports a change of role, for logs and readiness.
	RoleChanged struct{ Status Status }
	// Halt ends the process: going on would risk data. Err says why and what the operator should do.
	Halt struct{ Err error }
)

// Database is the state of one server as read from disk or from a leader's snapshot.
// The tree holds the session table too.
type Database struct {
	Tree *tree.Tree
	// LastZxid is the zxid up to which Tree holds every txn.
	LastZxid wire.Zxid
	// Recent are the last txns of the log in order (up to 500), for syncing learners; may be empty.
	Recent        []txn.Entry
	AcceptedEpoch wire.Epoch
	CurrentEpoch  wire.Epoch
	// Blank tells that there is no data where some may have been (zookeeper.db.autocreate=false): Tree is empty, and the
	// server must not vote before it has been sent the data of the others.
	Blank bool
}

func (Tick) input()                 {}
func (NotificationReceived) input() {}
func (LearnerAccepted) input()      {}
func (LeaderConnected) input()      {}
func (PacketReceived) input()       {}
func (SnapshotReceived) input()     {}
func (SnapshotSent) input()         {}
func (LogRead) input()              {}
func (ConnClosed) input()           {}
func (OracleSaid) input()           {}
func (StorageDone) input()          {}
func (ClientConnected) input()      {}
func (ClientRequest) input()        {}
func (ClientClosed) input()         {}
func (ClientsTouched) input()       {}
func (SnapshotWanted) input()       {}
func (Restore) input()              {}

func (SendNotification) effect()  {}
func (OpenQuorumPort) effect()    {}
func (CloseQuorumPort) effect()   {}
func (OpenObserverPort) effect()  {}
func (CloseObserverPort) effect() {}
func (DialLeader) effect()        {}
func (SendPacket) effect()        {}
func (SendSnapshot) effect()      {}
func (ReadLog) effect()           {}
func (CloseConn) effect()         {}
func (Append) effect()            {}
func (RollLog) effect()           {}
func (SaveEpoch) effect()         {}
func (SaveMembers) effect()       {}
func (TakeSnapshot) effect()      {}
func (Truncate) effect()          {}
func (Reload) effect()            {}
func (SendFrame) effect()         {}
func (CloseClient) effect()       {}
func (QuotaExceeded) effect()     {}
func (MembersChanged) effect()    {}
func (Operated) effect()          {}
func (RoleChanged) effect()       {}
func (Halt) effect()              {}
