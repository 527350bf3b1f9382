// Package txn is the codec of transactions. The same bytes stand in the log, in PROPOSAL and in INFORM:
//
//	header    long session | int cxid | long zxid | long time (ms) | int type      32 bytes
//	record    by type, see records.go
//	digest    int version | long tree digest                                       12 bytes, since 3.6, may be absent
//
// The source is org.apache.zookeeper.server.util.SerializeUtils.
package txn

import (
	"encoding/binary"
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// HeaderBytes is the length of a header.
const HeaderBytes = 32

// DigestBytes is the length of a digest behind a record.
const DigestBytes = 12

// DigestVersion is the only version of the tree digest.
const DigestVersion = 2

// Header tells whose transaction it is, and when.
type Header struct {
	// Session is that of the client; 0 for what the server does on its own account.
	Session wire.SessionID
	// Cxid is the xid of the client's request; 0 for what the server did for it.
	Cxid int32
	Zxid wire.Zxid
	// Time is the leader's wall clock, milliseconds since the Unix epoch.
	Time int64
	Type wire.OpCode
}

// Digest is the digest of the whole tree after the transaction.
type Digest struct {
	Version int32
	Tree    uint64
}

// Entry is a transaction with its bytes, which must not be changed.
type Entry struct {
	Header Header
	Record Record
	// Digest is nil if the transaction carries none.
	Digest *Digest
	Bytes  []byte
}

// New encodes a transaction. A record that does not belong to the type of the header panics.
func New(h Header, r Record, d *Digest) Entry {
	b := make([]byte, 0, HeaderBytes+DigestBytes+r.size())
	b = h.append(b)
	b = r.append(b)
	if d != nil {
		b = wire.AppendInt64(wire.AppendInt32(b, d.Version), int64(d.Tree))
	}
	return Entry{Header: h, Record: r, Digest: d, Bytes: b}
}

func (h Header) append(b []byte) []byte {
	b = wire.AppendInt32(wire.AppendInt64(b, int64(h.Session)), h.Cxid)
	b = wire.AppendInt64(wire.AppendInt64(b, int64(h.Zxid)), h.Time)
	return wire.AppendInt32(b, int32(h.Type))
}

// DecodeHeader reads the header only.
func DecodeHeader(b []byte) (Header, error) {
	d := wire.NewDecoder(b)
	h := Header{Session: wire.SessionID(d.Int64()), Cxid: d.Int32(), Zxid: wire.Zxid(d.Int64()), Time: d.Int64()}
	h.Type = wire.OpCode(d.Int32())
	return h, d.Err()
}

// Decode reads a transaction. The entry shares its bytes with b.
func Decode(b []byte) (Entry, error) {
	e := Entry{Bytes: b}
	h, err := DecodeHeader(b)
	if err != nil {
		return e, fmt.Errorf("header of a transaction of %d bytes: %w", len(b), err)
	}
	e.Header = h
	d := wire.NewDecoder(b[HeaderBytes:])
	if h.Type == wire.OpCloseSession && closesWithoutList(d.Rest()) {
		e.Record = &CloseSession{NoList: true}
	} else if e.Record, err = decodeRecord(h.Type, d); err != nil {
		return e, fmt.Errorf("transaction %v: %w", h.Zxid, err)
	}
	if rest := d.Rest(); len(rest) >= DigestBytes {
		e.Digest = &Digest{
			Version: int32(binary.BigEndian.Uint32(rest)), Tree: binary.BigEndian.Uint64(rest[4:]),
		}
	}
	return e, nil
}

// closesWithoutList tells whether what follows the header of a closeSession is nothing, or a digest only. Twelve bytes
// that begin with 2 would be a list of two null or empty strings otherwise, which cannot be.
func closesWithoutList(b []byte) bool {
	return len(b) == 0 || len(b) == DigestBytes && binary.BigEndian.Uint32(b) == DigestVersion
}
