// Package snap writes and reads snapshots of the tree, in files and as the stream of a SNAP, in the format of Apache
// ZooKeeper (server.persistence.FileSnap, SerializeUtils):
//
//	file     "ZKSN" | int version 2 | long dbid -1 | body | seal [ | digest | seal ] [ | applied | seal ]
//	body     int sessions | (long id | int timeout) ...
//	         int lists | (long number | vector of ACL) ...
//	         (string path | buffer data | long list | stat, 60 bytes) ... | string "/"
//	seal     long Adler-32 of everything before it | string "/"
//	digest   long zxid | int version | long digest of the tree
//	applied  long zxid
//	stream   body | string "BenWasHere"
//
// A file is named snapshot.<zxid, hex>: it holds everything up to that zxid, and maybe effects of later transactions,
// since the tree may change while it is read. The zxid behind the nodes is the last that may show. Servers before 3.6
// write neither digest nor applied, those before 3.9 no applied. A file may be compressed, see Compression.
package snap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"sync"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

const (
	magic     = 0x5A4B534E // "ZKSN"
	version   = 2
	signature = "BenWasHere"
	// maxFieldBytes is more than any path or data has.
	maxFieldBytes = 256 << 20
	// maxCount is more than any snapshot has of anything.
	maxCount = 1 << 30
	// stepBytes is how much is allocated for a field before any of it has been read.
	stepBytes = 64 << 10
)

// ErrInvalid says that a snapshot is not whole, or not one.
var ErrInvalid = errors.New("invalid snapshot")

// Buffers are used again: those who write many small snapshots would do little else than clear new ones.
var (
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}
)

func newWriter(out io.Writer) *bufio.Writer {
	w := writers.Get().(*bufio.Writer)
	w.Reset(out)
	return w
}

func newReader(in io.Reader) *bufio.Reader {
	r := readers.Get().(*bufio.Reader)
	r.Reset(in)
	return r
}

// Encoder writes a snapshot piece by piece, so that the tree may change between the pieces.
type Encoder struct {
	out    *bufio.Writer
	sum    hash.Hash32
	file   bool
	cursor *tree.Cursor
	newest wire.Zxid
	digest bool
	// applied adds the field of Apache ZooKeeper 3.9.
	applied bool
	batch   []tree.Record
	b       []byte
}

// NewFile begins a snapshot file of a tree. The tree must not change while it or a method of the encoder runs.
func NewFile(out io.Writer, t *tree.Tree) (*Encoder, error) {
	e := &Encoder{sum: adler32.New(), file: true, cursor: tree.NewCursor(t), digest: !t.Options().NoDigest}
	e.out = newWriter(io.MultiWriter(out, e.sum))
	e.b = wire.AppendInt32(wire.AppendInt32(e.b, magic), version)
	e.b = wire.AppendInt64(e.b, -1)
	return e, e.head()
}

// AddApplied adds the zxid of the last transaction applied to a file, as Apache ZooKeeper does since 3.9
// (zookeeper.serializeLastProcessedZxid.enabled). It must be called before Finish.
func (e *Encoder) AddApplied() { e.applied = true }

// NewStream begins the stream of a SNAP.
func NewStream(out io.Writer, t *tree.Tree) (*Encoder, error) {
	e := &Encoder{cursor: tree.NewCursor(t), out: newWriter(out)}
	return e, e.head()
}

// Zxid is that of the tree when the snapshot was begun.
func (e *Encoder) Zxid() wire.Zxid { return e.cursor.Zxid }

// Newest is the zxid of the last transaction of which the snapshot may show effects, known after Finish.
func (e *Encoder) Newest() wire.Zxid { return e.newest }

func (e *Encoder) head() error {
	e.b = wire.AppendInt32(e.b, int32(len(e.cursor.Sessions)))
	for _, s := range e.cursor.Sessions {
		e.b = wire.AppendInt32(wire.AppendInt64(e.b, int64(s.ID)), s.TimeoutMillis)
	}
	e.b = wire.AppendInt32(e.b, int32(len(e.cursor.ACLs)))
	for _, a := range e.cursor.ACLs {
		e.b = wire.AppendACLs(wire.AppendInt64(e.b, a.ID), a.ACL)
	}
	return e.flush()
}

func (e *Encoder) flush() error {
	_, err := e.out.Write(e.b)
	e.b = e.b[:0]
	return err
}

// Next writes up to max nodes and tells whether there may be more.
func (e *Encoder) Next(max int) (more bool, err error) {
	e.batch = e.cursor.Next(e.batch[:0], max)
	for _, r := range e.batch {
		e.b = wire.AppendBuffer(wire.AppendString(e.b, r.Path), r.Data)
		e.b = r.Stat.Append(wire.AppendInt64(e.b, r.ACL))
		if err := e.flush(); err != nil {
			return false, err
		}
	}
	more = len(e.batch) > 0
	clear(e.batch)
	return more, nil
}

// Finish writes what follows the nodes.
func (e *Encoder) Finish() error {
	defer e.release()
	zxid, digest := e.cursor.End()
	e.newest = zxid
	e.b = wire.AppendString(e.b, "/")
	if !e.file {
		e.b = wire.AppendString(e.b, signature)
		if err := e.flush(); err != nil {
			return err
		}
		return e.out.Flush()
	}
	if err := e.seal(); err != nil {
		return err
	}
	if e.digest {
		e.b = wire.AppendInt32(wire.AppendInt64(e.b, int64(zxid)), tree.DigestVersion)
		e.b = wire.AppendInt64(e.b, int64(digest))
		if err := e.seal(); err != nil {
			return err
		}
	}
	if e.applied {
		e.b = wire.AppendInt64(e.b, int64(zxid))
		return e.seal()
	}
	return nil
}

// release gives the buffer back. Nothing can be written any more.
func (e *Encoder) release() {
	e.out.Reset(nil)
	writers.Put(e.out)
	e.out = nil
}

func (e *Encoder) seal() error {
	if err := e.flush(); err != nil {
		return err
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	e.b = wire.AppendString(wire.AppendInt64(e.b, int64(e.sum.Sum32())), "/")
	if err := e.flush(); err != nil {
		return err
	}
	return e.out.Flush()
}

// Snapshot is what a file holds.
type Snapshot struct {
	Tree *tree.Tree
	// Newest is the zxid of the last transaction of which the snapshot may show effects; -1 if it does not say.
	Newest wire.Zxid
}

// Lengths of what may follow the first seal.
const (
	sealBytes    = 13
	digestBytes  = 20 + sealBytes
	appliedBytes = 8 + sealBytes
)

// ReadFile reads a snapshot file up to zxid, to the end of in, and checks its seals. Whatever is wrong with it is
// ErrInvalid, and that in cannot be read as well.
func ReadFile(in io.Reader, zxid wire.Zxid, opts tree.Options) (Snapshot, error) {
	d := &decoder{in: newReader(in), sum: adler32.New()}
	defer readers.Put(d.in)
	if d.int32() != magic || d.int32() != version {
		d.fail(errors.New("wrong magic or version"))
	}
	d.int64()
	restorer := d.body(opts)
	d.seal()
	s := Snapshot{Newest: d.trailers()}
	if d.err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, d.err)
	}
	t, err := restorer.Tree(zxid)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s.Tree = t
	return s, nil
}

// ReadNodes reads the nodes of a snapshot file whatever its seals say, for those who want to see what is left of it: the
// tree may be there with an error. Without a tree the file cannot be read.
func ReadNodes(in io.Reader, zxid wire.Zxid, opts tree.Options) (*tree.Tree, error) {
	d := &decoder{in: newReader(in), sum: adler32.New()}
	defer readers.Put(d.in)
	if d.int32() != magic {
		d.fail(errors.New("wrong magic"))
	}
	d.int32()
	d.int64()
	restorer := d.body(opts)
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, d.err)
	}
	t, err := restorer.Tree(zxid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d.seal()
	if d.trailers(); d.err != nil {
		return t, fmt.Errorf("%w: %w", ErrInvalid, d.err)
	}
	return t, nil
}

// trailers reads what follows the first seal. Which ones there are shows in the length only.
func (d *decoder) trailers() wire.Zxid {
	if d.err != nil {
		return -1
	}
	rest, err := d.in.Peek(digestBytes + appliedBytes + 1)
	if err != nil && err != io.EOF {
		d.fail(err)
		return -1
	}
	newest := wire.Zxid(-1)
	switch len(rest) {
	case 0, digestBytes, appliedBytes, digestBytes + appliedBytes:
	default:
		d.fail(fmt.Errorf("%d bytes or more behind the nodes", len(rest)))
	}
	if n := len(rest); n == digestBytes || n == digestBytes+appliedBytes {
		newest = wire.Zxid(d.int64())
		d.int32()
		d.int64()
		d.seal()
	}
	if n := len(rest); n == appliedBytes || n == digestBytes+appliedBytes {
		newest = max(newest, wire.Zxid(d.int64()))
		d.seal()
	}
	return newest
}

// ReadStream reads the stream of a SNAP with this zxid. It reads nothing behind the signature.
func ReadStream(in *bufio.Reader, zxid wire.Zxid, opts tree.Options) (*tree.Tree, error) {
	d := &decoder{in: in}
	restorer := d.body(opts)
	if got := d.string(); d.err == nil && got != signature {
		d.fail(fmt.Errorf("signature %q", got))
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, d.err)
	}
	t, err := restorer.Tree(zxid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return t, nil
}

type decoder struct {
	in   *bufio.Reader
	sum  hash.Hash32 // nil for a stream
	err  error
	word [8]byte
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) read(b []byte) []byte {
	if d.err != nil {
		clear(b)
		return b
	}
	if _, err := io.ReadFull(d.in, b); err != nil {
		d.fail(err)
		clear(b)
		return b
	}
	if d.sum != nil {
		d.sum.Write(b)
	}
	return b
}

func (d *decoder) int32() int32 { return int32(binary.BigEndian.Uint32(d.read(d.word[:4]))) }
func (d *decoder) int64() int64 { return int64(binary.BigEndian.Uint64(d.read(d.word[:8]))) }

func (d *decoder) buffer() []byte {
	n := d.int32()
	if n == -1 || d.err != nil {
		return nil
	}
	if n < 0 || n > maxFieldBytes {
		d.fail(fmt.Errorf("length %d", n))
		return nil
	}
	// No more is allocated than a few times what is there.
	b := d.read(make([]byte, min(n, stepBytes)))
	for len(b) < int(n) && d.err == nil {
		have := len(b)
		b = append(b, make([]byte, min(int(n)-have, have))...)
		d.read(b[have:])
	}
	return b
}

func (d *decoder) string() string { return string(d.buffer()) }

func (d *decoder) count() int {
	n := d.int32()
	if n < 0 || n > maxCount {
		d.fail(fmt.Errorf("count %d", n))
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) body(opts tree.Options) *tree.Restorer {
	r := tree.NewRestorer(opts)
	for n := d.count(); n > 0 && d.err == nil; n-- {
		r.Session(tree.Session{ID: wire.SessionID(d.int64()), TimeoutMillis: d.int32()})
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		entry := tree.ACLEntry{ID: d.int64()}
		for m := d.count(); m > 0 && d.err == nil; m-- {
			entry.ACL = append(entry.ACL, wire.ACL{
				Perms: wire.Perms(d.int32()), ID: wire.ID{Scheme: d.string(), ID: d.string()},
			})
		}
		if err := r.ACL(entry); err != nil {
			d.fail(err)
		}
	}
	stat := make([]byte, 60)
	for d.err == nil {
		rec := tree.Record{Path: d.string()}
		if rec.Path == "/" || d.err != nil {
			break
		}
		rec.Data, rec.ACL = d.buffer(), d.int64()
		rec.Stat.Decode(wire.NewDecoder(d.read(stat)))
		if d.err != nil {
			break
		}
		if err := r.Node(rec); err != nil {
			d.fail(err)
		}
	}
	return r
}

func (d *decoder) seal() {
	if d.err != nil {
		return
	}
	want := d.sum.Sum32()
	if got := d.int64(); d.err == nil && got != int64(want) {
		d.fail(fmt.Errorf("checksum %x instead of %x", got, want))
	}
	if end := d.string(); d.err == nil && end != "/" {
		d.fail(fmt.Errorf("seal ends with %q", end))
	}
}
