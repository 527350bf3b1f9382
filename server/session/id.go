package session

import (
	"encoding/binary"

	"github.com/zkctl/zkctl/wire"
)

// containerOwner is the ephemeralOwner that marks container znodes, so it must not be a session id.
const containerOwner = -1 << 63

// IDs hands out the ids of new sessions: server id, clock, counter. See
// org.apache.zookeeper.server.SessionTrackerImpl.initializeNextSessionId.
type IDs struct{ next wire.SessionID }

// NewIDs returns a generator for one run of a server. server is its id (1 for a standalone server), of which the
// low 8 bits count; millis is a clock that differs between runs of the server.
func NewIDs(server wire.ServerID, millis int64) IDs {
	first := int64(uint64(millis)<<24>>8) | int64(server)<<56
	return IDs{next: wire.SessionID(first)}
}

// Next returns an id that this generator has not returned before; never 0 and never that of container owners.
func (g *IDs) Next() wire.SessionID {
	for g.next == 0 || int64(g.next) == containerOwner {
		g.next++
	}
	id := g.next
	g.next++
	return id
}

// Password returns the password of a session: the first 16 bytes of java.util.Random seeded with the id, so that
// every server, Java ones included, computes the same. It is a checksum more than a secret; ids that differ only in
// their top 16 bits share it.
func Password(id wire.SessionID) [16]byte {
	const (
		secret     = 0xB3415C00
		multiplier = 0x5DEECE66D
		increment  = 0xB
		mask       = 1<<48 - 1
	)
	var password [16]byte
	seed := (uint64(id) ^ secret ^ multiplier) & mask
	for i := 0; i < len(password); i += 4 {
		seed = (seed*multiplier + increment) & mask
		binary.LittleEndian.PutUint32(password[i:], uint32(seed>>16))
	}
	return password
}
