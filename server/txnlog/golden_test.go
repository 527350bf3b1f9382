package txnlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/store/apache"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// decoded is a line of txns.jsonl: the header of a file, or a transaction.
type decoded struct {
	File string
	Used int64

	Offset                  int64
	Session, Zxid           string
	Cxid                    int32
	Time                    int64
	Type                    string
	DigestVersion           int32
	TreeDigest              string
	Path                    string
	Paths                   []string
	Data                    *string
	ACL                     [][]any
	Ephemeral               bool
	ParentCVersion, Version int32
	TTL                     int64
	Timeout                 int32
	Err                     int32
	Txns                    []decoded
}

// TestApacheLogs reads each log of Apache ZooKeeper, compares with what another decoder found, and writes it again,
// byte for byte, with the padding.
func TestApacheLogs(t *testing.T) {
	types := make(map[wire.OpCode]int)
	for _, name := range apache.Decoded {
		files, err := apache.Files(name)
		if err != nil {
			t.Fatal(err)
		}
		fs := vfs.NewMem()
		if err := apache.Write(fs, "/d", name); err != nil {
			t.Fatal(err)
		}
		var want []decoded
		for line := range strings.Lines(string(files["txns.jsonl"])) {
			var d decoded
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatal(err)
			}
			want = append(want, d)
		}
		logs, err := Files(fs, "/d")
		if err != nil || len(logs) == 0 {
			t.Fatal(logs, err)
		}
		for _, first := range logs {
			t.Run(name+"/"+Name(first), func(t *testing.T) {
				header := want[0]
				want = want[1:]
				if header.File != Name(first) {
					t.Fatalf("the other decoder read %s", header.File)
				}
				original := files[Name(first)]
				if err := fs.MkdirAll("/copy"); err != nil {
					t.Fatal(err)
				}
				w := NewWriter(fs, "/copy", apache.PreallocBytes)
				r, err := OpenReader(fs, "/d/"+Name(first))
				if err != nil {
					t.Fatal(err)
				}
				for {
					offset := max(r.End(), headerBytes)
					e, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					types[e.Header.Type]++
					if len(want) == 0 || want[0].Offset != offset {
						t.Fatalf("a transaction at offset %d, which the other decoder did not see", offset)
					}
					if err := same(e, want[0]); err != nil {
						t.Errorf("offset %d: %v", offset, err)
					}
					want = want[1:]
					again := txn.New(e.Header, e.Record, e.Digest)
					if !bytes.Equal(again.Bytes, e.Bytes) {
						t.Errorf("%v is\n%x, but read\n%x", e.Header.Zxid, again.Bytes, e.Bytes)
					}
					if err := w.Append(e.Header.Zxid, again.Bytes); err != nil {
						t.Fatal(err)
					}
				}
				if r.End() != header.Used {
					t.Errorf("%d bytes are used, not %d", r.End(), header.Used)
				}
				if err := errors.Join(r.Close(), w.Roll()); err != nil {
					t.Fatal(err)
				}
				again := content(t, fs, "/copy/"+Name(first))
				// A file that was truncated has lost its padding.
				if len(original) == int(header.Used) {
					again = again[:min(len(again), len(original))]
				}
				if !bytes.Equal(again, original) {
					t.Errorf("written again it has %d bytes, not %d, or others", len(again), len(original))
				}
			})
		}
		if len(want) > 0 {
			t.Errorf("%s: the other decoder saw %d transactions more", name, len(want))
		}
		if fs.OpenFiles() > 0 {
			t.Errorf("%s: %d files are open", name, fs.OpenFiles())
		}
	}
	for _, op := range []wire.OpCode{
		wire.OpCreateSession, wire.OpCloseSession, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL,
		wire.OpDelete, wire.OpDeleteContainer, wire.OpSetData, wire.OpSetACL, wire.OpReconfig, wire.OpMulti, wire.OpError,
	} {
		if types[op] == 0 {
			t.Errorf("no %v was read", op)
		}
	}
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares a transaction with what another decoder made of it.
func same(e txn.Entry, want decoded) error {
	h := e.Header
	got := []any{h.Session.String(), h.Cxid, h.Zxid.String(), h.Time, h.Type.String()}
	wanted := []any{want.Session, want.Cxid, want.Zxid, want.Time, want.Type}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("header %v instead of %v", got, wanted)
	}
	switch {
	case (e.Digest == nil) != (want.TreeDigest == ""):
		return fmt.Errorf("digest %v instead of %q", e.Digest, want.TreeDigest)
	case e.Digest != nil && (e.Digest.Version != want.DigestVersion || "0x"+strconv.FormatUint(e.Digest.Tree, 16) != want.TreeDigest):
		return fmt.Errorf("digest %v instead of %q", e.Digest, want.TreeDigest)
	}
	return sameRecord(e.Record, want)
}

func sameRecord(r txn.Record, want decoded) error {
	var w txn.Record
	switch r := r.(type) {
	case *txn.Create:
		w = &txn.Create{Path: want.Path, Data: data(r.Data, want), ACL: acl(want), Ephemeral: want.Ephemeral, ParentCversion: want.ParentCVersion}
	case *txn.CreateContainer:
		w = &txn.CreateContainer{Path: want.Path, Data: data(r.Data, want), ACL: acl(want), ParentCversion: want.ParentCVersion}
	case *txn.CreateTTL:
		w = &txn.CreateTTL{Path: want.Path, Data: data(r.Data, want), ACL: acl(want), ParentCversion: want.ParentCVersion, TTL: want.TTL}
	case *txn.Delete:
		w = &txn.Delete{Path: want.Path}
	case *txn.SetData:
		w = &txn.SetData{Path: want.Path, Data: data(r.Data, want), Version: want.Version}
	case *txn.SetACL:
		w = &txn.SetACL{Path: want.Path, ACL: acl(want), Version: want.Version}
	case *txn.CheckVersion:
		w = &txn.CheckVersion{Path: want.Path, Version: want.Version}
	case *txn.CreateSession:
		w = &txn.CreateSession{TimeoutMillis: want.Timeout}
	case *txn.CloseSession:
		w = &txn.CloseSession{Paths: append([]string{}, want.Paths...)}
	case *txn.Error:
		w = &txn.Error{Err: wire.ErrCode(want.Err)}
	case *txn.Multi:
		if len(r.Txns) != len(want.Txns) {
			return fmt.Errorf("%d parts instead of %d", len(r.Txns), len(want.Txns))
		}
		for i, sub := range r.Txns {
			if sub.Type.String() != want.Txns[i].Type {
				return fmt.Errorf("part %d is a %v instead of a %s", i, sub.Type, want.Txns[i].Type)
			}
			if err := sameRecord(sub.Record, want.Txns[i]); err != nil {
				return fmt.Errorf("part %d: %w", i, err)
			}
		}
		return nil
	}
	if got, wanted := fmt.Sprintf("%#v", r), fmt.Sprintf("%#v", w); got != wanted {
		return fmt.Errorf("record %s instead of %s", got, wanted)
	}
	return nil
}

// data is what the other decoder says, or got where it says it in another way.
func data(got []byte, want decoded) []byte {
	if want.Data == nil {
		return nil
	}
	if strings.HasPrefix(*want.Data, "hex:") {
		if fmt.Sprintf("hex:%x", got) == *want.Data || strings.Contains(*want.Data, "...") {
			return got
		}
	}
	return []byte(*want.Data)
}

func acl(want decoded) []wire.ACL {
	list := []wire.ACL{}
	for _, a := range want.ACL {
		list = append(list, wire.ACL{Perms: wire.Perms(a[0].(float64)), ID: wire.ID{Scheme: a[1].(string), ID: a[2].(string)}})
	}
	return list
}
