package store

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/store/apache"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// expected is the tree that a client of Apache ZooKeeper saw.
type expected struct {
	Zxid     string
	Sessions map[string]int32 // absent for single servers
	Nodes    map[string]struct {
		Data *string
		ACL  [][]any
		Stat map[string]any
		Kind string
	}
}

func expectedTree(t *testing.T, name string) expected {
	t.Helper()
	files, err := apache.Files(name)
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(files["expected-tree.json"], &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// check compares a tree with what clients saw. The time of the configuration differs between the members, and
// single servers were not asked for their sessions.
func (e expected) check(t *testing.T, got *tree.Tree) {
	t.Helper()
	if z := got.LastZxid().String(); z != e.Zxid {
		t.Errorf("the tree is at %s instead of %s", z, e.Zxid)
	}
	if got.NodeCount() != len(e.Nodes) {
		t.Errorf("%d nodes instead of %d", got.NodeCount(), len(e.Nodes))
	}
	if e.Sessions != nil {
		if got.SessionCount() != len(e.Sessions) {
			t.Errorf("%d sessions instead of %d", got.SessionCount(), len(e.Sessions))
		}
		for _, s := range got.Sessions() {
			if e.Sessions[s.ID.String()] != s.TimeoutMillis {
				t.Errorf("session %v has a timeout of %d ms instead of %d", s.ID, s.TimeoutMillis, e.Sessions[s.ID.String()])
			}
		}
	}
	for p, want := range e.Nodes {
		n, ok := got.Lookup(p)
		if !ok {
			t.Errorf("%s is missing", p)
			continue
		}
		s := n.Stat()
		if p == tree.ConfigPath {
			s.Mtime = int64(want.Stat["mtime"].(float64))
		}
		stat := fmt.Sprintln(s.Czxid, s.Mzxid, s.Pzxid, s.Ctime, s.Mtime, s.Version, s.Cversion, s.Aversion, wire.SessionID(s.EphemeralOwner), s.DataLength, s.NumChildren)
		w := func(key string) any {
			if f, ok := want.Stat[key].(float64); ok {
				return int64(f)
			}
			return want.Stat[key]
		}
		wanted := fmt.Sprintln(w("czxid"), w("mzxid"), w("pzxid"), w("ctime"), w("mtime"), w("version"), w("cversion"), w("aversion"), w("ephemeralOwner"), w("dataLength"), w("numChildren"))
		if stat != wanted {
			t.Errorf("%s has stat %s instead of %s", p, stat, wanted)
		}
		if data, wanted := n.Data(), want.Data; (data == nil) != (wanted == nil) || data != nil && hex.EncodeToString(data) != *wanted {
			t.Errorf("%s has data %q instead of %v", p, data, wanted)
		}
		acl := ""
		for _, a := range n.ACL() {
			acl += fmt.Sprint(a)
		}
		wantedACL := ""
		for _, a := range want.ACL {
			wantedACL += fmt.Sprintf("{%v {%v %v}}", a[0], a[1], a[2])
		}
		if acl != wantedACL {
			t.Errorf("%s has ACL %s instead of %s", p, acl, wantedACL)
		}
		kind := map[tree.Kind]string{tree.Persistent: "persistent", tree.Ephemeral: "ephemeral", tree.Container: "container"}[n.Kind()]
		if n.Kind() == tree.TTL {
			kind = fmt.Sprintf("ttl:%d", n.Persisted().EphemeralOwner&tree.MaxTTL)
		}
		if kind != want.Kind {
			t.Errorf("%s is %s instead of %s", p, kind, want.Kind)
		}
	}
}

// extended is how the recorded servers ran.
var extended = tree.Options{ExtendedTypes: true}

func load(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	if err := apache.Write(fs, "/d", name); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestApacheDirectories recovers what Apache ZooKeeper left on disk, with both implementations of the file system, and
// a second time after a snapshot of its own.
func TestApacheDirectories(t *testing.T) {
	for _, name := range apache.Names {
		for kind, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				dir := path.Join(t.TempDir(), "version-2")
				if err := apache.Write(fs, dir, name); err != nil {
					t.Fatal(err)
				}
				want := expectedTree(t, name)
				s, db, err := Open(fs, dir, dir, Options{Tree: extended, PreallocBytes: apache.PreallocBytes})
				if err != nil {
					t.Fatal(err)
				}
				want.check(t, db.Tree)
				checkDatabase(t, db)
				if last := db.Recent[len(db.Recent)-1]; last.Digest != nil && last.Digest.Tree != db.Tree.Digest() {
					t.Errorf("the digest is %#x instead of %#x", db.Tree.Digest(), last.Digest.Tree)
				}
				if err := s.WriteSnapshot(db.Tree, db.LastZxid); err != nil {
					t.Fatal(err)
				}
				_, again, err := Open(fs, dir, dir, Options{Tree: extended})
				if err != nil {
					t.Fatal(err)
				}
				want.check(t, again.Tree)
				checkDatabase(t, again)
				if again.Tree.Digest() != db.Tree.Digest() || again.AcceptedEpoch != db.AcceptedEpoch || again.CurrentEpoch != db.CurrentEpoch {
					t.Error("the second start reads something else")
				}
				if m, ok := fs.(*vfs.Mem); ok && m.OpenFiles() > 0 {
					t.Errorf("%d files are open", m.OpenFiles())
				}
			})
		}
	}
}

// checkDatabase checks what must hold of every database that was read back.
func checkDatabase(t *testing.T, db *node.Database) {
	t.Helper()
	if err := validDatabase(db); err != nil {
		t.Error(err)
	}
}

func validDatabase(db *node.Database) error {
	switch n := len(db.Recent); {
	case db.Tree.LastZxid() != db.LastZxid:
		return fmt.Errorf("the tree is at %v, the database at %v", db.Tree.LastZxid(), db.LastZxid)
	case db.Tree.Digest() != db.Tree.CheckedDigest():
		return errors.New("the digest of the tree is wrong")
	case db.CurrentEpoch > db.AcceptedEpoch || db.LastZxid.Epoch() > db.CurrentEpoch:
		return fmt.Errorf("accepted epoch %d, current epoch %d, but %v", db.AcceptedEpoch, db.CurrentEpoch, db.LastZxid)
	case n > 0 && db.Recent[n-1].Header.Zxid > db.LastZxid:
		return fmt.Errorf("the last transaction is %v, the database at %v", db.Recent[n-1].Header.Zxid, db.LastZxid)
	}
	return nil
}

// TestApacheReplay goes from each snapshot through the logs behind it. Every digest that a transaction carries holds
// when the fuzzy part is over; before, a node may be missing or ahead.
func TestApacheReplay(t *testing.T) {
	for _, name := range append(apache.Names, "observer") {
		fs := load(t, name)
		s := &Store{fs: fs, snapDir: "/d", logDir: "/d", opts: Options{Tree: extended}}
		snapshots, err := s.snapshots()
		if err != nil {
			t.Fatal(err)
		}
		logs, err := txnlog.Files(fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range snapshots {
			t.Run(name+"/"+file.name(), func(t *testing.T) {
				got, err := s.readSnapshot(file)
				if err != nil {
					t.Fatal(err)
				}
				tr, checked := got.Tree, 0
				for _, first := range logs {
					r, err := txnlog.OpenReader(fs, path.Join("/d", txnlog.Name(first)))
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					for {
						e, err := r.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							t.Fatal(err)
						}
						if e.Header.Zxid <= tr.LastZxid() {
							continue
						}
						tr.Apply(e.Header, e.Record, nil)
						if e.Digest == nil || tr.LastZxid() < got.Newest || lost(name, file.zxid, e.Header.Zxid) {
							continue
						}
						if e.Digest.Tree != tr.Digest() {
							t.Fatalf("after %v the digest is %#x instead of %#x", e.Header.Zxid, tr.Digest(), e.Digest.Tree)
						}
						checked++
					}
				}
				if checked == 0 && file.zxid < logs[len(logs)-1] && !lost(name, file.zxid, logs[len(logs)-1]) {
					t.Error("no digest was checked")
				}
			})
		}
	}
}

// lost tells whether a part of the history between a snapshot and a transaction came as a snapshot.
func lost(name string, from, to wire.Zxid) bool {
	came := map[string]wire.Zxid{"server1": 0x1000001c3, "server2": 0x300000004, "observer": 0x300000006}[name]
	return from < came && came < to
}

// TestApacheOlderSnapshots takes the newest snapshots away one after the other: the logs make up for them, unless the
// history between came as a snapshot, which must be noticed.
func TestApacheOlderSnapshots(t *testing.T) {
	for _, name := range apache.Names {
		fs := load(t, name)
		want := expectedTree(t, name)
		snapshots, err := snapshotsIn(fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		for i, file := range snapshots {
			_, db, err := Open(fs, "/d", "/d", Options{Tree: extended})
			refused := name == "server1" && i >= 1 || name == "server2" && i >= 1
			switch {
			case refused && !errors.Is(err, ErrIncomplete):
				t.Errorf("%s from %s: %v", name, file.name(), err)
			case refused:
			case err != nil:
				t.Errorf("%s from %s: %v", name, file.name(), err)
			default:
				want.check(t, db.Tree)
			}
			if err := fs.Remove(path.Join("/d", file.name())); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = Open(fs, "/d", "/d", Options{Tree: extended})
		if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "trust.empty") {
			t.Errorf("%s without any snapshot: %v", name, err)
		}
		_, db, err := Open(fs, "/d", "/d", Options{Tree: extended, TrustEmpty: true})
		if name == "server1" || name == "server2" {
			if !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s with half of the history: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s without any snapshot: %v", name, err)
			continue
		}
		want.check(t, db.Tree)
		if _, _, err := Open(fs, "/d", "/d", Options{Tree: extended}); err != nil {
			t.Errorf("%s: trust is needed a second time: %v", name, err)
		}
	}
}
