package snap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/store/apache"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// decoded is what another decoder found in a snapshot.
type decoded struct {
	File       string
	Sessions   [][]any
	ACLs       [][]any
	DigestZxid string
	NodeCount  int
	Nodes      []struct {
		Path string
		ACL  int64

		Czxid, Mzxid, Pzxid, EphemeralOwner string
		Ctime, Mtime                        int64
		Version, Cversion, Aversion         int32
	}
}

// TestApacheSnapshots reads every snapshot of Apache ZooKeeper, compares with what another decoder found, and writes it
// again.
//
// What is written again has the same bytes but for two things. Sessions stand in the order of a hash table of Java
// objects there, here by id. The digest at the end is zeros there until the server has applied a transaction. The nodes
// come in the order of hash tables as well, but a tree that was restored keeps the order of the file.
func TestApacheSnapshots(t *testing.T) {
	for _, name := range append(apache.Decoded, "snapshot-gz", "snapshot-snappy") {
		files, err := apache.Files(name)
		if err != nil {
			t.Fatal(err)
		}
		others := make(map[string]decoded)
		if b := files["snapshots.json"]; b != nil {
			var list []decoded
			if err := json.Unmarshal(b, &list); err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				others[d.File] = d
			}
		}
		seen := 0
		for file, b := range files {
			zxid, c, ok := ParseName(file)
			if !ok {
				continue
			}
			seen++
			t.Run(name+"/"+file, func(t *testing.T) {
				if !Whole(bytes.NewReader(b), int64(len(b)), c) {
					t.Error("it does not look whole")
				}
				plain, err := io.ReadAll(Decompress(bytes.NewReader(b), c))
				if err != nil {
					t.Fatal(err)
				}
				got, err := ReadFile(bytes.NewReader(plain), zxid, tree.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got.Tree.LastZxid() != zxid {
					t.Errorf("the tree is at %v", got.Tree.LastZxid())
				}
				if d, ok := others[file]; ok {
					compare(t, got, d)
				} else if len(files["snapshots.json"]) > 0 {
					t.Error("the other decoder did not see it")
				}
				var again bytes.Buffer
				write(t, &again, got.Tree)
				theirs, ours := split(t, plain), split(t, again.Bytes())
				if !bytes.Equal(theirs.nodes, ours.nodes) {
					t.Errorf("%d bytes of nodes differ from %d", len(ours.nodes), len(theirs.nodes))
				}
				slices.SortFunc(theirs.sessions, bytes.Compare)
				if !slices.EqualFunc(theirs.sessions, ours.sessions, bytes.Equal) {
					t.Errorf("sessions\n%x\n%x", ours.sessions, theirs.sessions)
				}
				if !slices.EqualFunc(theirs.lists, ours.lists, bytes.Equal) {
					t.Errorf("lists\n%x\n%x", ours.lists, theirs.lists)
				}
			})
		}
		if seen == 0 {
			t.Errorf("%s has no snapshots", name)
		}
	}
}

func compare(t *testing.T, got Snapshot, want decoded) {
	t.Helper()
	tr := got.Tree
	if z := got.Newest.String(); z != want.DigestZxid {
		t.Errorf("the newest transaction is %s instead of %s", z, want.DigestZxid)
	}
	if tr.NodeCount() != want.NodeCount || tr.SessionCount() != len(want.Sessions) {
		t.Errorf("%d nodes and %d sessions instead of %d and %d", tr.NodeCount(), tr.SessionCount(), want.NodeCount, len(want.Sessions))
	}
	for _, s := range want.Sessions {
		id, err := strconv.ParseUint(strings.TrimPrefix(s[0].(string), "0x"), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := tr.Session(wire.SessionID(id)); !ok || float64(got.TimeoutMillis) != s[1].(float64) {
			t.Errorf("session %v is %v, %v", s, got, ok)
		}
	}
	lists := make(map[int64]string)
	for _, a := range want.ACLs {
		text := ""
		for _, entry := range a[1].([]any) {
			e := entry.([]any)
			text += fmt.Sprintf("{%v {%v %v}}", e[0], e[1], e[2])
		}
		lists[int64(a[0].(float64))] = text
	}
	lists[-1] = "{31 {world anyone}}"
	for _, w := range want.Nodes {
		path := w.Path
		if path == "" {
			path = "/"
		}
		n, ok := tr.Lookup(path)
		if !ok {
			t.Errorf("%s is missing", path)
			continue
		}
		p := n.Persisted()
		stat := fmt.Sprintln(p.Czxid, p.Mzxid, p.Pzxid, p.Ctime, p.Mtime, p.Version, p.Cversion, p.Aversion, wire.SessionID(p.EphemeralOwner))
		wanted := fmt.Sprintln(w.Czxid, w.Mzxid, w.Pzxid, w.Ctime, w.Mtime, w.Version, w.Cversion, w.Aversion, w.EphemeralOwner)
		if stat != wanted {
			t.Errorf("%s has stat %s instead of %s", path, stat, wanted)
		}
		text := ""
		for _, a := range n.ACL() {
			text += fmt.Sprint(a)
		}
		if text != lists[w.ACL] {
			t.Errorf("%s has ACL %s instead of %s", path, text, lists[w.ACL])
		}
	}
}

func write(t testing.TB, out io.Writer, tr *tree.Tree) {
	t.Helper()
	e, err := NewFile(out, tr)
	for more := true; more && err == nil; {
		more, err = e.Next(7)
	}
	if err == nil {
		err = e.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// parts are the bytes of a snapshot file.
type parts struct {
	sessions, lists [][]byte
	nodes           []byte
}

func split(t *testing.T, b []byte) parts {
	t.Helper()
	var p parts
	d := wire.NewDecoder(b)
	d.Int64()
	d.Int64()
	take := func(read func()) []byte {
		before := d.Rest()
		read()
		return before[:len(before)-len(d.Rest())]
	}
	for range d.Int32() {
		p.sessions = append(p.sessions, take(func() { d.Int64(); d.Int32() }))
	}
	for range d.Int32() {
		p.lists = append(p.lists, take(func() { d.Int64(); d.ACLs() }))
	}
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	p.nodes = take(func() {
		for d.String() != "/" && d.Err() == nil {
			d.Buffer()
			d.Int64()
			new(wire.StatPersisted).Decode(d)
		}
	})
	return p
}
