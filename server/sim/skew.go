package sim

import "github.com/zkctl/zkctl/wire"

// skew is how a member speaks to the others: as this version does, or as older ones do, which knew no memberships that
// change. It concerns what goes over the wire; what such a member does is what this version does.
type skew int

const (
	present skew = iota
	of35         // votes of version 1, without a membership
	of34         // votes without a version, LearnerInfo without the version of the membership, NEWLEADER without it
)

// vote is what becomes of a vote when such a member sends it or reads it.
func (s skew) vote(n wire.Notification) wire.Notification {
	switch s {
	case of35:
		n.Version, n.Config = min(n.Version, 1), nil
	case of34:
		n.Version, n.Config = 0, nil
	}
	return n
}

// packet is what such a member sends.
func (s skew) packet(p wire.QuorumPacket) wire.QuorumPacket {
	if s != of34 {
		return p
	}
	switch p.Type {
	case wire.PacketFollowerInfo, wire.PacketObserverInfo:
		p.Data = p.Data[:12]
	case wire.PacketNewLeader:
		p.Data = nil
	}
	return p
}
