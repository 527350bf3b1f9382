package txnlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"

	"github.com/zkctl/zkctl/server/txn"
)

// sectorBytes is what every disk writes as a whole or not at all; many write more.
const sectorBytes = 512

// judge decides what the bytes from r.at to the end of the file are, which are no whole record.
//
// Zeros to the end are space that was reserved: a clean end. Otherwise the question is whether the damage is in what the
// last sync made durable. A loss of power spares that, and of the rest the disk may have written any sectors, in any
// order. Those it did not write still read as zeros, since a log is never overwritten: reserved space and what lies
// beyond the end of a file read so. Hence:
//
//   - No valid record behind the damage: torn. What is not followed by anything was written last, and the writer waits
//     for the sync of a record before it writes more than maxUnsyncedBytes. Strictly, a bit that flipped in the last
//     record of all looks the same. The record was on a quorum if it counted, and refusing to start after half of all
//     losses of power would be worse, as would a rule that operators learn to work around. If the record has its end, it
//     is told (ErrChanged): where another file goes on behind this one, it was whole.
//   - Valid records behind it: torn if at least one sector in between is zero from where writing had come to, and if
//     what follows is not more than could have been unsynced. This happens with several records in one sync.
//   - Otherwise corrupt: bytes that differ from those written, in the midst of records that were synced later.
//
// Apache ZooKeeper, too, takes an unfinished record for the end of the file, but a wrong checksum anywhere for corruption.
func (r *Reader) judge(why string) error {
	end, err := r.lastByte(r.at)
	if err != nil {
		return err
	}
	if end <= r.at {
		return io.EOF
	}
	valid, err := r.nextValid(r.at+1, end)
	if err != nil {
		return err
	}
	if valid < 0 {
		switch changed, err := r.changed(end); {
		case err != nil:
			return err
		case changed:
			return r.because(why, fmt.Errorf("%w, %w", ErrTorn, ErrChanged))
		}
		return r.torn(why)
	}
	hole, err := r.unwritten(r.at, valid)
	if err != nil {
		return err
	}
	if hole && end-r.at <= maxUnsyncedBytes {
		return r.torn(why)
	}
	return r.corrupt(fmt.Sprintf("%s, and valid transactions follow at offset %d", why, valid))
}

// changed tells whether the record at r.at, the last one, had been written to its end: there is a byte where its length says
// that it ends, or its checksum is that of what is there up to the last byte, so that its length is wrong.
func (r *Reader) changed(end int64) (bool, error) {
	data := r.at + frameHead
	length := end - 1 - data
	if r.at < headerBytes || length < txn.HeaderBytes {
		return false, nil
	}
	var head [frameHead]byte
	var last [1]byte
	if _, err := r.file.ReadAt(head[:], r.at); err != nil {
		return false, fmt.Errorf("read at offset %d: %w", r.at, err)
	}
	if said := int64(int32(binary.BigEndian.Uint32(head[8:]))); said > 0 && data+said < r.size {
		if _, err := r.file.ReadAt(last[:], data+said); err != nil {
			return false, fmt.Errorf("read at offset %d: %w", data+said, err)
		}
		if last[0] != 0 {
			return true, nil
		}
	}
	if length > maxTxnBytes {
		return false, nil
	}
	record := make([]byte, length+1)
	if _, err := r.file.ReadAt(record, data); err != nil {
		return false, fmt.Errorf("read at offset %d: %w", data, err)
	}
	return record[length] == endOfRecord && adler32.Checksum(record[:length]) == binary.BigEndian.Uint32(head[4:]), nil
}

const chunkBytes = 256 << 10

var zeroes [chunkBytes]byte

// buffer is what the rest of the file is read with, a chunk at a time.
func (r *Reader) buffer(from int64) []byte {
	return make([]byte, min(chunkBytes, max(r.size-from, sectorBytes)))
}

// chunk reads the bytes from an offset, up to len(b).
func (r *Reader) chunk(b []byte, at int64) ([]byte, error) {
	n, err := r.file.ReadAt(b, at)
	if err == io.EOF || n == len(b) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read at offset %d: %w", at, err)
	}
	return b[:n], err
}

// lastByte is the offset behind the last byte that is not zero, from at least; from if there is none.
func (r *Reader) lastByte(from int64) (int64, error) {
	end := from
	b := r.buffer(from)
	for at := from; at < r.size; at += int64(len(b)) {
		got, err := r.chunk(b, at)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(got, zeroes[:len(got)]) { // most are, and this is many times faster
			end = at + int64(len(bytes.TrimRight(got, "\x00")))
		}
	}
	return end, nil
}

// nextValid is the offset of the first whole record that begins at from or later and ends at end at the latest; -1 if
// there is none.
func (r *Reader) nextValid(from, end int64) (int64, error) {
	b := r.buffer(from)
	for at := from; at+frameBytes < end; at += int64(len(b)) - frameHead + 1 {
		got, err := r.chunk(b, at)
		if err != nil {
			return 0, err
		}
		for i := 0; i+frameHead <= len(got); i++ {
			head := got[i : i+frameHead]
			length := int64(binary.BigEndian.Uint32(head[8:]))
			if head[0] != 0 || binary.BigEndian.Uint32(head) != 0 || length < txn.HeaderBytes ||
				length > maxTxnBytes || at+int64(i)+frameBytes+length > end {
				continue
			}
			record := make([]byte, length+1)
			if _, err := r.file.ReadAt(record, at+int64(i)+frameHead); err != nil && err != io.EOF {
				return 0, fmt.Errorf("read at offset %d: %w", at, err)
			}
			if record[length] != endOfRecord || adler32.Checksum(record[:length]) != binary.BigEndian.Uint32(head[4:]) {
				continue
			}
			if h, err := txn.DecodeHeader(record); err == nil && h.Zxid > r.last {
				return at + int64(i), nil
			}
		}
	}
	return -1, nil
}

// unwritten tells whether some sector from an offset on, and before another, can have been left as it was: the part of it
// that lies behind the offset is zero to its end. Records begin with four zeros: so many bytes at the end of a sector
// say nothing, and the record that begins with them is valid without them.
func (r *Reader) unwritten(from, to int64) (bool, error) {
	const zeros = 4
	b := make([]byte, sectorBytes)
	for at := from; at < to; {
		next := at/sectorBytes*sectorBytes + sectorBytes
		if next > to+zeros {
			return false, nil
		}
		got, err := r.chunk(b[:next-at], at)
		if err != nil {
			return false, err
		}
		if len(got) > zeros && allZero(got) {
			return true, nil
		}
		at = next
	}
	return false, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
