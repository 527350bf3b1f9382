package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"path"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// bufferBytes is how much a Writer keeps to itself before it writes.
const bufferBytes = 64 << 10

// Writer appends to the newest log of a directory. What it wrote is in doubt after an error, so every later call fails
// with the same one.
type Writer struct {
	fs       vfs.FS
	dir      string
	prealloc int64

	file     vfs.File
	pending  string // the name that file gets when its first records are durable; empty after that
	buffered []byte // the end of what was appended, not written yet
	size     int64  // of what was appended to file, header included
	reserved int64
	unsynced int64
	err      error
}

// NewWriter returns a writer whose first record begins a new file. preallocBytes is how much space is reserved at a
// time, 0 for none.
func NewWriter(fs vfs.FS, dir string, preallocBytes int64) *Writer {
	return &Writer{fs: fs, dir: dir, prealloc: preallocBytes}
}

// Append writes a txn, which is durable after Sync, and maybe before.
func (w *Writer) Append(zxid wire.Zxid, b []byte) error {
	if w.err != nil {
		return w.err
	}
	if h, err := txn.DecodeHeader(b); err != nil || h.Zxid != zxid || len(b) > maxTxnBytes {
		return w.fail(fmt.Errorf("append %v to the log: %d bytes that are of %v: %w", zxid, len(b), h.Zxid, errors.Join(ErrCorrupt, err)))
	}
	if w.unsynced > 0 && w.unsynced+frameBytes+int64(len(b)) > maxUnsyncedBytes {
		if err := w.Sync(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.create(zxid); err != nil {
			return w.fail(fmt.Errorf("create %s: %w", Name(zxid), err))
		}
	}
	if err := w.reserve(); err != nil {
		return w.fail(fmt.Errorf("reserve space for the log: %w", err))
	}
	w.buffered = binary.BigEndian.AppendUint64(w.buffered, uint64(adler32.Checksum(b)))
	w.buffered = binary.BigEndian.AppendUint32(w.buffered, uint32(len(b)))
	w.buffered = append(append(w.buffered, b...), endOfRecord)
	w.size += frameBytes + int64(len(b))
	w.unsynced += frameBytes + int64(len(b))
	if len(w.buffered) < bufferBytes {
		return nil
	}
	// Between two syncs no sector is written twice: a sector of which a loss of power leaves only the beginning could not
	// be told from damage.
	if err := w.write(len(w.buffered) - int(w.size%sectorBytes)); err != nil {
		return w.fail(err)
	}
	return nil
}

// write writes the first n bytes of those buffered.
func (w *Writer) write(n int) error {
	if _, err := w.file.Write(w.buffered[:n]); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	rest := w.buffered[n:]
	if cap(w.buffered) > 4*bufferBytes {
		w.buffered = nil
	}
	w.buffered = append(w.buffered[:0], rest...)
	return nil
}

// tmpPrefix begins the name of a log without durable records. Apache ZooKeeper does not start on a log whose header is
// not whole, so none is ever seen under the name of a log.
const tmpPrefix = "tmp."

func (w *Writer) create(first wire.Zxid) error {
	name := Name(first)
	file, err := w.fs.Create(path.Join(w.dir, tmpPrefix+name))
	if err != nil {
		return err
	}
	w.pending = name
	w.file, w.size, w.reserved, w.unsynced = file, headerBytes, headerBytes, headerBytes
	w.buffered = binary.BigEndian.AppendUint32(w.buffered[:0], magic)
	w.buffered = binary.BigEndian.AppendUint32(w.buffered, version)
	w.buffered = binary.BigEndian.AppendUint64(w.buffered, 0)
	return nil
}

// publish gives the file its name.
func (w *Writer) publish() error {
	if w.pending == "" {
		return nil
	}
	if err := w.fs.Rename(path.Join(w.dir, tmpPrefix+w.pending), path.Join(w.dir, w.pending)); err != nil {
		return err
	}
	w.pending = ""
	return w.fs.SyncDir(w.dir)
}

// reserve keeps at least 4 KB free, and gives files the lengths that Apache ZooKeeper's have
// (server.persistence.FilePadding).
func (w *Writer) reserve() error {
	if w.prealloc <= 0 || w.size+4096 < w.reserved {
		return nil
	}
	if w.size > w.reserved {
		w.reserved = (w.size + w.prealloc) / w.prealloc * w.prealloc
	} else {
		w.reserved += w.prealloc
	}
	return w.file.Preallocate(w.reserved)
}

// SizeBytes is how long the file is that is being written, without what is reserved behind its records; 0 without one.
func (w *Writer) SizeBytes() int64 {
	if w.file == nil {
		return 0
	}
	return w.size
}

// Sync makes everything appended durable.
func (w *Writer) Sync() error {
	if w.err != nil || w.unsynced == 0 {
		return w.err
	}
	if err := w.write(len(w.buffered)); err != nil {
		return w.fail(err)
	}
	if err := w.file.Sync(); err != nil {
		// What was not synced is still shown by the memory of the machine, which takes it for written: a server that
		// starts again would count it, and lose it with the power. So it must not be shown.
		err = errors.Join(err, w.file.Truncate(w.size-w.unsynced))
		return w.fail(fmt.Errorf("sync the log: %w", err))
	}
	if err := w.publish(); err != nil {
		return w.fail(fmt.Errorf("name the log: %w", err))
	}
	w.unsynced = 0
	return nil
}

// Roll ends the file; the next record begins a new one. What was appended is durable.
func (w *Writer) Roll() error {
	if w.file == nil || w.err != nil {
		return w.err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return w.fail(fmt.Errorf("close the log: %w", err))
	}
	return nil
}

// fail ends the use of the writer.
func (w *Writer) fail(err error) error {
	w.err = err
	if w.file != nil {
		w.err = errors.Join(err, w.file.Close())
		w.file = nil
	}
	return w.err
}
