// Package txnlog reads and writes logs of transactions, in the format of Apache ZooKeeper (server.persistence.FileTxnLog):
//
//	file     "ZKLG" | int version 2 | long dbid 0 | record ... | zeros
//	record   long Adler-32 of the txn | int length | txn | 'B'
//
// A file is named log.<zxid of its first record, hex>. It may be longer than its records: space is reserved ahead, so that
// a sync need not write the length of the file. Files are never appended to by a later process; it begins a new one.
//
// Reading a file ends in one of three ways: at a clean end, with a torn tail, which a loss of power may leave of what had
// not been synced, or with corruption, which it cannot. See Reader.
package txnlog

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const (
	magic       = 0x5A4B4C47 // "ZKLG"
	version     = 2
	headerBytes = 16
	frameHead   = 8 + 4
	frameBytes  = frameHead + 1
	endOfRecord = 'B'
	prefix      = "log."
	// maxTxnBytes is more than any server writes: a request of the largest size, and the paths of a closeSession.
	maxTxnBytes = 256 << 20
	// maxUnsyncedBytes is how much a Writer leaves unsynced, unless a single txn is longer. Where more than that follows
	// a damaged record, the damage is not from a loss of power.
	maxUnsyncedBytes = 4 << 20
)

var (
	// ErrTorn says that the end of the file was not written completely, as after a loss of power.
	ErrTorn = errors.New("torn record")
	// ErrChanged comes with ErrTorn where the last record of the file had been written to its end. A loss of power can leave
	// that, too, if it leaves the middle of a record out, but only of the file that was written last: nobody goes on with
	// another file before this one is durable or cut, and Apache ZooKeeper does not start on it.
	ErrChanged = errors.New("though it has its end")
	// ErrCorrupt says that a record is damaged that had been written completely.
	ErrCorrupt = errors.New("corrupt record")
)

// Name is the name of the file whose first record has this zxid.
func Name(first wire.Zxid) string { return prefix + strconv.FormatUint(uint64(first), 16) }

// IsName tells whether a file of that name is a log, or becomes one with its first durable records.
func IsName(name string) bool { return strings.HasPrefix(strings.TrimPrefix(name, tmpPrefix), prefix) }

// Files lists the logs in a directory by zxid.
func Files(fs vfs.FS, dir string) ([]wire.Zxid, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var list []wire.Zxid
	for _, name := range names {
		hex, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		// Another spelling of a number could not be opened by its name.
		if first, err := strconv.ParseUint(hex, 16, 64); err == nil && Name(wire.Zxid(first)) == name {
			list = append(list, wire.Zxid(first))
		}
	}
	slices.Sort(list)
	return list, nil
}
