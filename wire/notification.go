package wire

import "fmt"

// NotificationVersion is the version of the votes that servers since 3.5 send.
const NotificationVersion = 2

// Notification is a vote on its way, without the length before it (org.apache.zookeeper.server.quorum.FastLeaderElection):
//
//	int state | long leader | long zxid | long electionEpoch | long peerEpoch | int version | int length, config text
//
// Older servers end after peerEpoch (version 0 here), or after zxid and electionEpoch.
type Notification struct {
	State  ServerState
	Leader ServerID
	Zxid   Zxid
	// ElectionEpoch is the number of the election, PeerEpoch the currentEpoch that belongs to the vote.
	ElectionEpoch int64
	PeerEpoch     Epoch
	Version       int32
	// Config is the text of the membership; version 2 only.
	Config []byte
}

// Append appends the vote in version 2.
func (n Notification) Append(b []byte) []byte {
	b = AppendInt64(AppendInt32(b, int32(n.State)), int64(n.Leader))
	b = AppendInt64(AppendInt64(b, int64(n.Zxid)), n.ElectionEpoch)
	b = AppendInt32(AppendInt64(b, int64(n.PeerEpoch)), NotificationVersion)
	return append(AppendInt32(b, int32(len(n.Config))), n.Config...)
}

// Unmarshal reads a vote of any version that 3.5 reads.
func (n *Notification) Unmarshal(b []byte) error {
	*n = Notification{}
	if len(b) < 28 {
		return fmt.Errorf("vote of %d bytes: %w", len(b), ErrTruncated)
	}
	d := NewDecoder(b)
	n.State, n.Leader, n.Zxid = ServerState(d.Int32()), ServerID(d.Int64()), Zxid(d.Int64())
	n.ElectionEpoch = d.Int64()
	if n.State < Looking || n.State > Observing {
		return fmt.Errorf("vote of a server in state %d", n.State)
	}
	switch len(b) {
	case 28:
		n.PeerEpoch = n.Zxid.Epoch()
		return nil
	case 40:
		n.PeerEpoch = Epoch(d.Int64())
		return nil
	}
	n.PeerEpoch, n.Version = Epoch(d.Int64()), d.Int32()
	if d.Err() != nil || n.Version <= 1 {
		return d.Err()
	}
	length := d.Int32()
	if length < 0 {
		return fmt.Errorf("vote with a config text of %d bytes: %w", length, ErrTruncated)
	}
	n.Config = d.take(int(length))
	return d.Err()
}
