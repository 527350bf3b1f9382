package zab

import (
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// ConnID names one connection of the quorum port.
type ConnID uint64

// Effect is something that a role wants its server to do, in the order of the effects.
type Effect interface{ effect() }

type (
	// Send sends a packet to a learner, or to the leader.
	Send struct {
		Conn   ConnID
		Packet wire.QuorumPacket
	}
	// SendSnapshot sends a SNAP packet with this zxid and the stream of the tree; the server answers with
	// Leader.SnapshotSent once the stream has been read from the tree.
	SendSnapshot struct {
		Conn ConnID
		Zxid wire.Zxid
	}
	// ReadLog asks for the txns behind After, up to UpTo or fewer, for a learner; the server answers with Leader.LogRead.
	ReadLog struct {
		Conn        ConnID
		After, UpTo wire.Zxid
	}
	// Close closes a learner's connection. Reason is for the log.
	Close struct {
		Conn   ConnID
		Reason string
	}

	// SaveEpoch makes acceptedEpoch or currentEpoch durable, after every storage effect before it.
	SaveEpoch struct {
		Current bool
		Epoch   wire.Epoch
	}
	// Append adds a txn to the log.
	Append struct{ Entry txn.Entry }
	// Truncate cuts the log back to Zxid; the server answers with Learner.Truncated.
	Truncate struct{ Zxid wire.Zxid }
	// Install replaces the tree by the one of a leader's snapshot. Memory is ahead of the disk until the
	// following SaveSnapshot is durable.
	Install struct {
		Tree *tree.Tree
		Zxid wire.Zxid
	}
	// SaveSnapshot writes the tree as it is now, at Zxid, in the place of everything on disk.
	SaveSnapshot struct{ Zxid wire.Zxid }

	// SeeMembers takes note of the membership that was proposed last, durably before every storage effect after it. It can
	// be an older one than was known before, if the leader's history is another.
	SeeMembers struct{ Members *quorum.Config }
	// Activate makes a membership the committed one, durably before every storage effect after it.
	Activate struct{ Members *quorum.Config }

	// Deliver applies a committed txn. Txns are delivered in order, each once.
	Deliver struct{ Entry txn.Entry }
	// Serve opens the server to clients: the role has reached broadcast in this epoch.
	Serve struct{ Epoch wire.Epoch }
	// GiveUp ends the role. Nothing that the role noted down after it matters.
	GiveUp struct {
		Reason string
		// NeedSnapshot tells that what is on disk cannot be brought in line with the leader's history; see Config.
		NeedSnapshot bool
		// Follow is the server that leads from now on, without an election; 0 for an election.
		Follow wire.ServerID
	}

	// Forwarded is a request for a leader to prepare: of a learner's client, or, with Conn 0, of one of its own.
	Forwarded struct {
		Conn    ConnID
		Request Request
	}
	// Revalidate asks a leader whether a session that moved to this learner, or, with Conn 0, to the leader itself, is
	// alive; answered by Leader.AnswerRevalidate. A session that is not known may have been opened at a later leader:
	// before Confirmed is set, the answer "no" must go by way of Leader.ConfirmRevalidate, and "yes", to a learner, by way of
	// Leader.SettleRevalidate.
	Revalidate struct {
		Conn      ConnID
		Session   wire.SessionID
		Timeout   time.Duration
		Confirmed bool
	}
	// Touched reports sessions that were active at a learner.
	Touched struct{ Sessions []Touch }

	// Moved tells that a session of this server, if it is one, goes on at an observer of this follower.
	Moved struct{ Session wire.SessionID }
	// Synced tells that the oldest pending sync is complete: everything that was committed when it reached the
	// leader has been delivered here.
	Synced struct{}
	// Revalidated is the leader's answer about a session.
	Revalidated struct {
		Session wire.SessionID
		Valid   bool
	}
)

func (Send) effect()         {}
func (SendSnapshot) effect() {}
func (ReadLog) effect()      {}
func (Close) effect()        {}
func (SaveEpoch) effect()    {}
func (Append) effect()       {}
func (Truncate) effect()     {}
func (Install) effect()      {}
func (SaveSnapshot) effect() {}
func (SeeMembers) effect()   {}
func (Activate) effect()     {}
func (Deliver) effect()      {}
func (Serve) effect()        {}
func (GiveUp) effect()       {}
func (Forwarded) effect()    {}
func (Revalidate) effect()   {}
func (Touched) effect()      {}
func (Moved) effect()        {}
func (Synced) effect()       {}
func (Revalidated) effect()  {}

// effects collects what a role wants done.
type effects struct{ list []Effect }

func (e *effects) note(f Effect) { e.list = append(e.list, f) }

// Take appends the effects noted since the last call to into and forgets them.
func (e *effects) Take(into []Effect) []Effect {
	into = append(into, e.list...)
	clear(e.list)
	e.list = e.list[:0]
	return into
}
