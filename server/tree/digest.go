package tree

import (
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// DigestVersion is the version of the digest that this package computes.
const DigestVersion = 2

// Digester computes node digests (org.apache.zookeeper.server.DigestCalculator). The digest of a tree is the sum of the
// digests of its nodes, modulo 2^64. It has a buffer and is not safe for concurrent use; the zero value is ready.
//
//	node digest = CRC-32 of path ("" for the root), data, czxid, mzxid, pzxid, ctime, mtime (8 bytes each),
//	              version, cversion, aversion (4 bytes each), ephemeralOwner (8 bytes)
//	            = 0 for everything below /zookeeper
type Digester struct{ stat [60]byte }

// ContentCRC is the part of a node's digest that path and data make. It changes only with the data.
func ContentCRC(path string, data []byte) uint32 {
	if path == "/" {
		path = ""
	}
	return crc32.Update(crc32.ChecksumIEEE([]byte(path)), crc32.IEEETable, data)
}

// contentCRC is ContentCRC where there are digests.
func (t *Tree) contentCRC(path string, data []byte) uint32 {
	if t.opts.NoDigest {
		return 0
	}
	return ContentCRC(path, data)
}

// Node returns the digest of one node.
func (d *Digester) Node(path string, content uint32, s wire.StatPersisted) uint64 {
	if strings.HasPrefix(path, "/zookeeper/") {
		return 0
	}
	b := &d.stat
	binary.BigEndian.PutUint64(b[0:], uint64(s.Czxid))
	binary.BigEndian.PutUint64(b[8:], uint64(s.Mzxid))
	binary.BigEndian.PutUint64(b[16:], uint64(s.Pzxid))
	binary.BigEndian.PutUint64(b[24:], uint64(s.Ctime))
	binary.BigEndian.PutUint64(b[32:], uint64(s.Mtime))
	binary.BigEndian.PutUint32(b[40:], uint32(s.Version))
	binary.BigEndian.PutUint32(b[44:], uint32(s.Cversion))
	binary.BigEndian.PutUint32(b[48:], uint32(s.Aversion))
	binary.BigEndian.PutUint64(b[52:], uint64(s.EphemeralOwner))
	return uint64(crc32.Update(content, crc32.IEEETable, b[:]))
}

func (t *Tree) nodeDigest(n *node) uint64 {
	if t.opts.NoDigest {
		return 0
	}
	return t.digester.Node(n.path, n.content, n.persisted())
}

// CheckedDigest computes the digest anew from all nodes. It is for tests and operators' doubts; Digest is kept up to
// date and costs nothing.
func (t *Tree) CheckedDigest() uint64 {
	if t.opts.NoDigest {
		return 0
	}
	var d Digester
	var sum uint64
	for _, n := range t.nodes {
		sum += d.Node(n.path, ContentCRC(n.path, n.data), n.persisted())
	}
	return sum
}
