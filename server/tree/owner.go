package tree

import "github.com/zkctl/zkctl/wire"

// Kind is what the stored ephemeralOwner says about a znode.
type Kind uint8

const (
	// Persistent nodes stay until they are deleted.
	Persistent Kind = iota
	// Ephemeral nodes end with their session, which is their owner.
	Ephemeral
	// Container nodes are deleted by the server after their last child is gone.
	Container
	// TTL nodes are deleted by the server when they have no children and were not changed for a time.
	TTL
)

// Stored values of ephemeralOwner that are no session; see org.apache.zookeeper.server.EphemeralType.
const (
	// ContainerOwner marks container nodes.
	ContainerOwner int64 = -1 << 63
	// MaxTTL is the longest time to live in milliseconds.
	MaxTTL int64 = 1<<40 - 1

	ttlMark = -1 << 56       // 0xff in the top byte, with the feature number 0 below it
	ttlBits = ^int64(MaxTTL) // all but the time
)

// TTLOwner returns the stored owner of a node that lives millis (1 to MaxTTL) milliseconds.
func TTLOwner(millis int64) int64 { return ttlMark | millis }

// Options are settings of a server that change how its tree reads.
type Options struct {
	// ExtendedTypes recognises TTL nodes (zookeeper.extendedTypesEnabled). Without it their owners are taken for
	// sessions. It must be equal on all servers.
	ExtendedTypes bool
	// Emulate353TTL also recognises the TTL owners that ZooKeeper 3.5.3 wrote (zookeeper.emulate353TTLNodes).
	Emulate353TTL bool
	// NoDigest does without digests, which are all 0 then (zookeeper.digest.enabled=false).
	NoDigest bool
}

func (o Options) kind(owner int64) Kind {
	switch {
	case owner == 0:
		return Persistent
	case owner == ContainerOwner:
		return Container
	case o.ExtendedTypes && owner&ttlBits == ttlMark:
		return TTL
	case o.ExtendedTypes && o.Emulate353TTL && owner < 0:
		return TTL
	}
	return Ephemeral
}

// visible computes the stat that clients see: dataLength and numChildren are counted, cversion counts creations and
// deletions while the stored one counts creations only, and owners that are no session read 0.
func (o Options) visible(n *node) wire.Stat {
	children := int32(len(n.children()))
	s := wire.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: 2*n.cversion - children, Aversion: n.aversion,
		DataLength: int32(len(n.data)), NumChildren: children, Pzxid: n.pzxid,
	}
	if o.kind(n.owner) == Ephemeral {
		s.EphemeralOwner = n.owner
	}
	return s
}
