package node

import (
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Work counts what a node has done, for callers that measure how long it takes: the node has no clock.
type Work struct {
	// Made are txns made of requests, Closed those of them that end a session, Applied those that were applied to the
	// tree while serving, Read the requests answered from the tree in Step.
	Made, Closed, Applied, Read int64
}

// Work reports what has been done so far. Like Status, it must not coincide with Step.
func (n *Node) Work() Work { return n.work }

// Waiting are the reads that wait for a write of their session, and the writes in process. Like Status, it must not
// coincide with Step.
func (n *Node) Waiting() (reads, writes int) { return n.inFlight - n.writesInFlight, n.writesInFlight }

// age is the time since a txn was made. The clocks of two servers may disagree, so that it can be negative.
func (n *Node) age(madeMillis int64) time.Duration {
	return time.Duration(n.now.WallMillis-madeMillis) * time.Millisecond
}

// measureRole notes what an effect of the role says.
func (n *Node) measureRole(e zab.Effect) {
	m := n.cfg.Metrics
	switch e := e.(type) {
	case zab.Send:
		if e.Packet.Type == wire.PacketDiff || e.Packet.Type == wire.PacketTrunc {
			m.DiffCount.Add(1)
			byTxns, _ := n.synchronising()
			m.InflightDiffCount.Add(int64(byTxns))
		}
	case zab.SendSnapshot:
		m.SnapCount.Add(1)
		_, bySnapshot := n.synchronising()
		m.InflightSnapCount.Add(int64(bySnapshot))
	case zab.Append:
		switch {
		case n.leader != nil:
			m.ProposalCount.Add(1)
		case n.serving && n.role != Observing:
			m.LearnerProposalReceivedCount.Add(1)
			m.ProposalLatency.Took(n.age(e.Entry.Header.Time))
		}
	}
}

// synchronising counts the learners that are being synchronised by this server.
func (n *Node) synchronising() (byTxns, bySnapshot int) {
	if n.leader != nil {
		return n.leader.Syncing()
	}
	return n.learner.SyncingObservers()
}

// measurePacket handles a packet of a learner and notes what it says.
func (n *Node) measurePacket(conn ConnID, packet wire.QuorumPacket, handle func()) {
	if packet.Type != wire.PacketAck {
		handle()
		return
	}
	m := n.cfg.Metrics
	if packet.Zxid.Counter() == 0 {
		byTxns, bySnapshot := n.leader.Syncing()
		handle()
		if n.leader == nil {
			return
		}
		switch afterTxns, afterSnapshot := n.leader.Syncing(); {
		case afterTxns < byTxns:
			m.InflightDiffCount.Add(int64(afterTxns))
		case afterSnapshot < bySnapshot:
			m.InflightSnapCount.Add(int64(afterSnapshot))
		}
		return
	}
	if n.isSampled(packet.Zxid) {
		made, waits := n.leader.Proposed(packet.Zxid)
		if id, ok := n.leader.LearnerID(zab.ConnID(conn)); ok && waits {
			n.measureAck(id, made.Header.Time)
		}
	}
	handle()
}

func (n *Node) isSampled(zxid wire.Zxid) bool {
	return n.cfg.AckLoggingFrequency > 0 && int64(zxid)%int64(n.cfg.AckLoggingFrequency) == 0
}

func (n *Node) measureAck(id wire.ServerID, madeMillis int64) {
	if s := n.cfg.Metrics.AckLatency.Summary(strconv.FormatInt(int64(id), 10)); s != nil {
		s.Took(n.age(madeMillis))
	}
}

// measureLogged notes that a txn of a participant is durable here.
func (n *Node) measureLogged(e Append) {
	if n.role == Standalone || n.role == Observing || !n.serving {
		return
	}
	made, err := txn.DecodeHeader(e.Txn)
	if err != nil {
		return // a test's
	}
	n.cfg.Metrics.ProposalAckCreationLatency.Took(n.age(made.Time))
	if n.leader != nil && n.isSampled(e.Zxid) {
		n.measureAck(n.cfg.Self, made.Time)
	}
}

// measureDelivered notes a txn that a serving server applies.
func (n *Node) measureDelivered(e txn.Entry) {
	m := n.cfg.Metrics
	n.work.Applied++
	m.RequestCommitQueued.Add(1)
	age := n.age(e.Header.Time)
	m.PropagationLatency.Took(age)
	switch {
	case n.leader != nil:
		m.CommitCount.Add(1)
		m.QuorumAckLatency.Took(age)
	case n.learner != nil:
		m.LearnerCommitReceivedCount.Add(1)
		m.CommitPropagationLatency.Took(age)
	}
	n.measureWrite(e.Record)
}

// measureDrained notes what a txn let go on: the session of its client, which is nil at another server, and reads that
// waited for it.
func (n *Node) measureDrained(c *client, reads int64) {
	sessions := int64(0)
	if c != nil {
		sessions = 1
	}
	n.cfg.Metrics.SessionQueuesDrained.Add(sessions)
	n.cfg.Metrics.ReadsIssuedFromSessionQueue.Add(reads)
}

// measureWrite notes the sizes of what a txn writes (DataTree.updateWriteStat).
func (n *Node) measureWrite(record txn.Record) {
	switch r := record.(type) {
	case *txn.Create:
		n.wrote(r.Path, len(r.Data))
	case *txn.CreateContainer:
		n.wrote(r.Path, len(r.Data))
	case *txn.CreateTTL:
		n.wrote(r.Path, len(r.Data))
	case *txn.SetData:
		n.wrote(r.Path, len(r.Data))
	case *txn.Delete:
		n.wrote(r.Path, 0)
	case *txn.CloseSession:
		for _, path := range r.Paths {
			n.wrote(path, 0)
		}
	case *txn.Multi:
		for _, part := range r.Txns {
			if part.Type == wire.OpError {
				return
			}
		}
		for _, part := range r.Txns {
			n.measureWrite(part.Record)
		}
	}
}

func (n *Node) wrote(path string, bytes int) {
	if namespace := tree.Namespace(path); namespace != "" {
		n.cfg.Metrics.WritePerNamespace.Add(namespace, int64(len(path)+bytes))
	}
}

// measureEvent notes how many hear of a change.
func (n *Node) measureEvent(event wire.EventType, watchers []watch.Watcher) {
	m := n.cfg.Metrics
	count := int64(len(watchers))
	switch event {
	case wire.NodeCreated:
		m.NodeCreatedWatchCount.Add(count)
	case wire.NodeDeleted:
		m.NodeDeletedWatchCount.Add(count)
	case wire.NodeDataChanged:
		m.NodeChangedWatchCount.Add(count)
	case wire.NodeChildrenChanged:
		m.NodeChildrenWatchCount.Add(count)
	}
}

// measureServing notes that the server begins to serve in an ensemble.
func (n *Node) measureServing() {
	m := n.cfg.Metrics
	m.UnavailableTime.Took(n.now.Mono - n.unavailableSince)
	switch {
	case n.leader != nil:
		m.LeaderUnavailableTime.Took(n.now.Mono - n.unavailableSince)
	case n.role == Observing:
		m.ObserverSyncTime.Took(n.now.Mono - n.syncingSince)
	default:
		m.FollowerSyncTime.Took(n.now.Mono - n.syncingSince)
	}
}
