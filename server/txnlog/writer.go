package txnlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"path"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// Writer appends to the newest log of a directory. What it wrote is in doubt after an error, so every later call fails
// with the same one.
type Writer struct {
	fs       vfs.FS
	dir      string
	prealloc int64

	file     vfs.File
	buffered *bufio.Writer
	size     int64 // of what was appended to file, header included
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
	var head [frameHead]byte
	binary.BigEndian.PutUint64(head[:], uint64(adler32.Checksum(b)))
	binary.BigEndian.PutUint32(head[8:], uint32(len(b)))
	_, err := w.buffered.Write(head[:])
	if err == nil {
		_, err = w.buffered.Write(b)
	}
	if err == nil {
		err = w.buffered.WriteByte(endOfRecord)
	}
	if err != nil {
		return w.fail(fmt.Errorf("write the log: %w", err))
	}
	w.size += frameBytes + int64(len(b))
	w.unsynced += frameBytes + int64(len(b))
	return nil
}

func (w *Writer) create(first wire.Zxid) error {
	file, err := w.fs.Create(path.Join(w.dir, Name(first)))
	if err != nil {
		return err
	}
	w.file, w.size, w.reserved, w.unsynced = file, headerBytes, headerBytes, headerBytes
	if w.buffered == nil {
		w.buffered = bufio.NewWriterSize(file, 64<<10)
	} else {
		w.buffered.Reset(file)
	}
	var head [headerBytes]byte
	binary.BigEndian.PutUint32(head[:], magic)
	binary.BigEndian.PutUint32(head[4:], version)
	if _, err := w.buffered.Write(head[:]); err != nil {
		return err
	}
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
	if err := w.buffered.Flush(); err != nil {
		return w.fail(fmt.Errorf("write the log: %w", err))
	}
	if err := w.file.Sync(); err != nil {
		// What was not synced is still shown by the memory of the machine, which takes it for written: a server that
		// starts again would count it, and lose it with the power. So it must not be shown.
		err = errors.Join(err, w.file.Truncate(w.size-w.unsynced))
		return w.fail(fmt.Errorf("sync the log: %w", err))
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
