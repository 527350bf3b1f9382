// Package wire holds what servers and clients of ZooKeeper exchange: the encoding (jute), the records of the client
// protocol, the packets of the quorum protocol, the votes of the election protocol, and the types of their fields.
//
// Jute is big-endian, without tags or padding:
//
//	boolean       1 byte, 0 or 1
//	int, long     4 or 8 bytes, two's complement
//	string        int length, UTF-8 bytes; -1 is null
//	buffer        int length, bytes; -1 is null, which differs from empty
//	vector        int count, elements; -1 is null
//	record        its fields one after the other
//
// Records write themselves with Append and read themselves with Decode from a Decoder, which remembers the first error.
// The source of the records is zookeeper.jute in Apache ZooKeeper.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrTruncated says that a record ends before its fields do, or that a length in it is impossible.
var ErrTruncated = errors.New("truncated record")

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendInt32 appends an int.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendInt64 appends a long.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendString appends a string, which is never null.
func AppendString(b []byte, v string) []byte { return append(AppendInt32(b, int32(len(v))), v...) }

// AppendBuffer appends a buffer; nil is null.
func AppendBuffer(b []byte, v []byte) []byte {
	if v == nil {
		return AppendInt32(b, -1)
	}
	return append(AppendInt32(b, int32(len(v))), v...)
}

// AppendStrings appends a vector of strings, which is never null.
func AppendStrings(b []byte, v []string) []byte {
	b = AppendInt32(b, int32(len(v)))
	for _, s := range v {
		b = AppendString(b, s)
	}
	return b
}

// Decoder takes fields off the front of a record. After the first error every field reads as zero.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder returns a decoder of b. Buffers that it returns share memory with b.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Rest is what has not been read.
func (d *Decoder) Rest() []byte { return d.b }

// Fail notes an error, unless there is one.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *Decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.Fail(ErrTruncated)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// Bool reads a boolean; every byte but 0 is true.
func (d *Decoder) Bool() bool {
	v := d.take(1)
	return v != nil && v[0] != 0
}

// Int32 reads an int.
func (d *Decoder) Int32() int32 {
	if v := d.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

// Int64 reads a long.
func (d *Decoder) Int64() int64 {
	if v := d.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// Buffer reads a buffer; nil is null.
func (d *Decoder) Buffer() []byte {
	n := d.Int32()
	if n == -1 || d.err != nil {
		return nil
	}
	if n == 0 {
		return []byte{}
	}
	return d.take(int(n))
}

// String reads a string; null is an error.
func (d *Decoder) String() string {
	s, ok := d.NullableString()
	if !ok {
		d.Fail(fmt.Errorf("null string: %w", ErrTruncated))
	}
	return s
}

// NullableString reads a string; ok is false for null.
func (d *Decoder) NullableString() (s string, ok bool) {
	n := d.Int32()
	if n == -1 || d.err != nil {
		return "", false
	}
	return string(d.take(int(n))), d.err == nil
}

// Count reads the number of elements of a vector of which each takes at least elementBytes; null is true for -1. A
// number that cannot be, given what is left, is an error.
func (d *Decoder) Count(elementBytes int) (n int, null bool) {
	v := d.Int32()
	switch {
	case d.err != nil:
		return 0, false
	case v == -1:
		return 0, true
	case v < 0 || int64(v)*int64(elementBytes) > int64(len(d.b)):
		d.Fail(ErrTruncated)
		return 0, false
	}
	return int(v), false
}

// Strings reads a vector of strings; null reads as none.
func (d *Decoder) Strings() []string {
	n, _ := d.Count(4)
	v := make([]string, 0, n)
	for range n {
		v = append(v, d.String())
	}
	return v
}
