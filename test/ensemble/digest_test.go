package ensemble

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// filled is a stopped member that has logged the creation of a znode with this data; the recorded digest is off by wrong.
func filled(t *testing.T, id int, data string, wrong uint64) *Member {
	t.Helper()
	m := &Member{ID: id, Dir: t.TempDir()}
	dir := filepath.Join(m.DataDir(), "version-2")
	s, db, err := store.Open(vfs.OS, dir, dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteSnapshot(db.Tree, 0); err != nil {
		t.Fatal(err)
	}
	for _, current := range []bool{false, true} {
		if err := s.SaveEpoch(current, 1); err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range []string{"/first", "/second"} {
		h := txn.Header{Zxid: wire.Zxid(1<<32 + i + 1), Time: 1, Type: wire.OpCreate}
		record := &txn.Create{Path: path, Data: []byte(data), ACL: wire.OpenACL(), ParentCversion: int32(i + 1)}
		db.Tree.Apply(h, record, nil)
		e := txn.New(h, record, &txn.Digest{Version: tree.DigestVersion, Tree: db.Tree.Digest() + wrong})
		if err := s.Append(h.Zxid, e.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDiskDigests(t *testing.T) {
	same := &Ensemble{members: map[int]*Member{1: filled(t, 1, "a", 0), 2: filled(t, 2, "a", 0)}}
	if digest, err := same.SameDiskDigests(); err != nil || digest == 0 {
		t.Errorf("equal trees: digest %#x, %v", digest, err)
	}
	other := &Ensemble{members: map[int]*Member{1: filled(t, 1, "a", 0), 2: filled(t, 2, "b", 0)}}
	if _, err := other.SameDiskDigests(); err == nil {
		t.Error("different trees pass for equal")
	}
	if _, err := filled(t, 1, "a", 1).DiskDigest(); err == nil {
		t.Error("a recorded digest that is not the tree's passes")
	}
}

// TestIdle has one of two members still know of a session.
func TestIdle(t *testing.T) {
	sessions := []string{"0", "1"}
	e := &Ensemble{members: make(map[int]*Member)}
	for i := range sessions {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.ReadFull(conn, make([]byte, 4))
				fmt.Fprintf(conn, "zk_global_sessions_more\t7\nzk_global_sessions\t%s\n", sessions[i])
				conn.Close()
			}
		}()
		m := &Member{ID: i + 1, clientHost: "127.0.0.1", ClientPort: l.Addr().(*net.TCPAddr).Port}
		m.process.Store(&process{done: make(chan struct{})})
		e.members[m.ID] = m
	}
	if e.idle() {
		t.Error("idle while member 2 has a session")
	}
	close(e.members[2].process.Load().done)
	if !e.idle() {
		t.Error("not idle when member 2 has ended")
	}
}
