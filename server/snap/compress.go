package snap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"

	"github.com/zkctl/zkctl/wire"
)

// Compression is how a snapshot file is compressed; its name shows it as a suffix (zookeeper.snapshot.compression.method).
// Servers before 3.6 can only read None.
//
//	gz       one gzip stream
//	snappy   as Java's SnappyOutputStream: 82 'S' 'N' 'A' 'P' 'P' 'Y' 0 | int version 1 | int compatible version 1 |
//	         (int length | snappy block of up to 32 KiB) ...
type Compression string

// The compressions.
const (
	None   Compression = ""
	Gzip   Compression = "gz"
	Snappy Compression = "snappy"
)

const (
	prefix = "snapshot."

	snappyMagic      = "\x82SNAPPY\x00"
	snappyVersion    = 1
	snappyBlockBytes = 32 << 10
	// maxSnappyBytes is more than Java programs choose for a block.
	maxSnappyBytes = 64 << 20
)

// Valid tells whether the compression exists.
func (c Compression) Valid() bool { return c == None || c == Gzip || c == Snappy }

// Detect tells how what comes next is compressed. It reads nothing.
func Detect(in *bufio.Reader) Compression {
	begin, _ := in.Peek(len(snappyMagic)) // what is shorter is none of them
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return Gzip
	case string(begin) == snappyMagic:
		return Snappy
	}
	return None
}

// Name is the name of the file of a snapshot that is not compressed.
func Name(zxid wire.Zxid) string { return prefix + strconv.FormatUint(uint64(zxid), 16) }

// FileName is the name of the file of a snapshot.
func FileName(zxid wire.Zxid, c Compression) string {
	if c == None {
		return Name(zxid)
	}
	return Name(zxid) + "." + string(c)
}

// ParseName reads the name of a file; ok is false if it is not that of a snapshot.
func ParseName(name string) (zxid wire.Zxid, c Compression, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, None, false
	}
	hex, suffix, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(hex, 16, 64)
	zxid, c = wire.Zxid(n), Compression(suffix)
	// Another spelling could not be opened by its name.
	return zxid, c, err == nil && c.Valid() && FileName(zxid, c) == name
}

// Compress returns a writer to out. Close ends the compressed form and does not close out.
func Compress(out io.Writer, c Compression) io.WriteCloser {
	switch c {
	case Gzip:
		w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
		if err != nil {
			panic(err) // only for a wrong level
		}
		return w
	case Snappy:
		return &snappyWriter{out: out, plain: make([]byte, 0, snappyBlockBytes)}
	case None:
		return plainWriter{out}
	}
	panic(fmt.Sprintf("snap: compression %q", string(c)))
}

// Decompress returns a reader of what was compressed. Damage is an error of its Read.
func Decompress(in io.Reader, c Compression) io.Reader {
	switch c {
	case Gzip:
		return &gzipReader{in: in}
	case Snappy:
		return &snappyReader{in: bufio.NewReaderSize(in, 64<<10)}
	case None:
		return in
	}
	panic(fmt.Sprintf("snap: compression %q", string(c)))
}

// Whole tells whether a file looks as if it had been written to its end, at little cost: what is not compressed must end
// with a seal, what is compressed must be whole and end so.
func Whole(in io.ReaderAt, sizeBytes int64, c Compression) bool {
	tail := tailWriter{}
	from := int64(0)
	if c == None {
		from = max(sizeBytes-int64(len(endOfSeal)), 0)
	}
	_, err := io.Copy(&tail, Decompress(io.NewSectionReader(in, from, sizeBytes-from), c))
	return err == nil && string(tail.b) == endOfSeal
}

// endOfSeal is the string "/".
const endOfSeal = "\x00\x00\x00\x01/"

// tailWriter keeps the last few bytes.
type tailWriter struct{ b []byte }

func (w *tailWriter) Write(b []byte) (int, error) {
	w.b = append(w.b, b[max(len(b)-len(endOfSeal), 0):]...)
	w.b = append(w.b[:0], w.b[max(len(w.b)-len(endOfSeal), 0):]...)
	return len(b), nil
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// gzipReader reads the header only when it is asked for something.
type gzipReader struct {
	in io.Reader
	gz *gzip.Reader
}

func (r *gzipReader) Read(b []byte) (int, error) {
	if r.gz == nil {
		gz, err := gzip.NewReader(r.in)
		if err != nil {
			return 0, noEOF(err)
		}
		r.gz = gz
	}
	return r.gz.Read(b)
}

type snappyWriter struct {
	out    io.Writer
	headed bool
	plain  []byte
	packed []byte
}

func (w *snappyWriter) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		n := min(len(b), snappyBlockBytes-len(w.plain))
		w.plain = append(w.plain, b[:n]...)
		b = b[n:]
		if len(w.plain) == snappyBlockBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *snappyWriter) flush() error {
	if !w.headed {
		w.headed = true
		head := wire.AppendInt32(wire.AppendInt32([]byte(snappyMagic), snappyVersion), snappyVersion)
		if _, err := w.out.Write(head); err != nil {
			return err
		}
	}
	if len(w.plain) == 0 {
		return nil
	}
	w.packed = snappy.Encode(w.packed[:cap(w.packed)], w.plain)
	w.plain = w.plain[:0]
	if _, err := w.out.Write(wire.AppendInt32(nil, int32(len(w.packed)))); err != nil {
		return err
	}
	_, err := w.out.Write(w.packed)
	return err
}

func (w *snappyWriter) Close() error { return w.flush() }

type snappyReader struct {
	in     *bufio.Reader
	headed bool
	packed bytes.Buffer
	plain  []byte // of the block; rest is the part of it that has not been handed out
	rest   []byte
}

func (r *snappyReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if err := r.block(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// block reads the next block. The file may end before one, and nowhere else.
func (r *snappyReader) block() error {
	if !r.headed {
		var head [16]byte
		if _, err := io.ReadFull(r.in, head[:]); err != nil {
			return noEOF(err)
		}
		if string(head[:8]) != snappyMagic || binary.BigEndian.Uint32(head[12:]) > snappyVersion {
			return errors.New("no snappy stream that can be read")
		}
		r.headed = true
	}
	var word [4]byte
	if _, err := io.ReadFull(r.in, word[:]); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(word[:]))
	if length > maxSnappyBytes {
		return fmt.Errorf("snappy block of %d bytes", length)
	}
	r.packed.Reset()
	if _, err := io.CopyN(&r.packed, r.in, length); err != nil {
		return noEOF(err)
	}
	n, err := snappy.DecodedLen(r.packed.Bytes())
	if err != nil {
		return err
	}
	if int64(n) > 64*length { // no block can be that dense
		return fmt.Errorf("snappy block of %d bytes for %d", length, n)
	}
	r.plain, err = snappy.Decode(r.plain[:cap(r.plain)], r.packed.Bytes())
	r.rest = r.plain
	return err
}

// noEOF: where more must come the end of the file is not a clean one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
