// Package apache holds data directories that Apache ZooKeeper 3.8.0 wrote, for tests. Their servers were killed, so the
// logs end as a crash leaves them.
//
//	standalone          a server without an ensemble
//	snapshot-gz         the same with snapshot.compression.method=gz
//	snapshot-snappy     and with snappy
//	server1             a member that was emptied and got its state from a leader: its logs begin late
//	server2             a member whose log.200000001 ends with two transactions that never happened: a newer leader did not
//	                    have them and sent a snapshot
//	server3             a member that was truncated: its log.1000001b0 ends with its last transaction, without padding
//	observer            an observer that was removed from the ensemble before the end of the others
//
// Each has the files of version-2 and, made by other programs from the same bytes or seen by a client:
//
//	expected-tree.json  the tree at the end (not for the observer)
//	txns.jsonl          for each log its header, then a line for each transaction (not for gz and snappy)
//	snapshots.json      what each snapshot holds, with the nodes of the newest (not for gz and snappy)
package apache

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/zkctl/zkctl/server/vfs"
)

//go:embed 3.8.0.tar.gz
var archive []byte

// PreallocBytes is how much space the servers reserved at a time.
const PreallocBytes = 16 << 10

// Names are the directories that have a tree and are read back to it.
var Names = []string{"standalone", "snapshot-gz", "snapshot-snappy", "server1", "server2", "server3"}

// Decoded are the directories that have txns.jsonl and snapshots.json.
var Decoded = []string{"standalone", "server1", "server2", "server3", "observer"}

// Files returns the files of a directory by name.
func Files(name string) (map[string][]byte, error) {
	gz, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for in := tar.NewReader(gz); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if dir, file := path.Split(h.Name); dir == name+"/" && file != "" {
			if files[file], err = io.ReadAll(in); err != nil {
				return nil, err
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no directory %s", name)
	}
	return files, nil
}

// Write writes what the server had on disk into a directory, durably.
func Write(fs vfs.FS, dir, name string) error {
	files, err := Files(name)
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	for file, content := range files {
		if strings.Contains(file, ".json") {
			continue
		}
		f, err := fs.Create(path.Join(dir, file))
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return fs.SyncDir(dir)
}
