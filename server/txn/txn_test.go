package txn

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// proposals are the transactions in recorded packets of Apache ZooKeeper.
func proposals(t testing.TB) [][]byte {
	t.Helper()
	text, err := os.ReadFile("../../wire/testdata/apache-3.8.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(strings.TrimSpace(line), "\t")
		if len(parts) != 3 || parts[0] != "PROPOSAL" && parts[0] != "INFORM" {
			continue
		}
		raw, err := hex.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.ReadQuorumPacket(bytes.NewReader(raw), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p.Data)
	}
	if len(list) < 20 {
		t.Fatalf("%d proposals", len(list))
	}
	return list
}

func TestApacheProposals(t *testing.T) {
	for _, b := range proposals(t) {
		e, err := Decode(b)
		if err != nil {
			t.Errorf("%x: %v", b, err)
			continue
		}
		if again := New(e.Header, e.Record, e.Digest); !bytes.Equal(again.Bytes, b) {
			t.Errorf("%x becomes\n%x", b, again.Bytes)
		}
	}
}

// every has a record of each type, with null, empty and full fields.
func every() []Entry {
	open := wire.OpenACL()
	h := func(op wire.OpCode) Header { return Header{Session: -5, Cxid: -1, Zxid: 7, Time: 8, Type: op} }
	digest := &Digest{Version: DigestVersion, Tree: 1<<64 - 1}
	return []Entry{
		New(h(wire.OpCreate), &Create{Path: "/a", ACL: open, Ephemeral: true, ParentCversion: 3}, digest),
		New(h(wire.OpCreate2), &Create{Path: "/a", Data: []byte{}, ACL: []wire.ACL{}, ParentCversion: -1}, nil),
		New(h(wire.OpCreate), &Create{Path: "", Data: []byte{1}}, nil),
		New(h(wire.OpCreateContainer), &CreateContainer{Path: "/a", Data: []byte("x"), ACL: open, ParentCversion: 3}, digest),
		New(h(wire.OpCreateTTL), &CreateTTL{Path: "/a", Data: []byte("x"), ACL: open, ParentCversion: 3, TTL: 1 << 39}, digest),
		New(h(wire.OpDelete), &Delete{Path: "/a"}, digest),
		New(h(wire.OpDeleteContainer), &Delete{Path: "/a"}, nil),
		New(h(wire.OpSetData), &SetData{Path: "/a", Data: nil, Version: -7}, digest),
		New(h(wire.OpReconfig), &SetData{Path: "/zookeeper/config", Data: []byte("x"), Version: -1}, digest),
		New(h(wire.OpSetACL), &SetACL{Path: "/a", ACL: nil, Version: 2}, digest),
		New(h(wire.OpSetACL), &SetACL{Path: "/a", ACL: open, Version: 2}, nil),
		New(h(wire.OpCreateSession), &CreateSession{TimeoutMillis: 4000}, digest),
		New(h(wire.OpCloseSession), &CloseSession{NoList: true}, nil),
		New(h(wire.OpCloseSession), &CloseSession{NoList: true}, digest),
		New(h(wire.OpCloseSession), &CloseSession{Paths: []string{}}, nil),
		New(h(wire.OpCloseSession), &CloseSession{Paths: []string{}}, digest),
		New(h(wire.OpCloseSession), &CloseSession{Paths: []string{"/a", "/b"}}, nil),
		New(h(wire.OpCloseSession), &CloseSession{Paths: []string{"/a", "/b"}}, digest),
		New(h(wire.OpError), &Error{Err: wire.ErrNoNode}, nil),
		New(h(wire.OpCheck), &CheckVersion{Path: "/a", Version: 3}, nil),
		New(h(wire.OpMulti), &Multi{Txns: []Sub{}}, digest),
		New(h(wire.OpMulti), &Multi{Txns: []Sub{
			{wire.OpCreate, &Create{Path: "/a", ACL: open}}, {wire.OpCreateTTL, &CreateTTL{Path: "/b", TTL: 1}},
			{wire.OpCreateContainer, &CreateContainer{Path: "/c"}}, {wire.OpDelete, &Delete{Path: "/d"}},
			{wire.OpSetData, &SetData{Path: "/e", Data: make([]byte, 300)}}, {wire.OpCheck, &CheckVersion{Path: "/f"}},
			{wire.OpError, &Error{Err: wire.ErrRuntimeInconsistency}}, {wire.OpDeleteContainer, &Delete{Path: "/g"}},
		}}, digest),
	}
}

func TestRoundTrip(t *testing.T) {
	for _, e := range every() {
		got, err := Decode(e.Bytes)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%v %+v becomes %+v: %v", e.Header.Type, e.Record, got.Record, err)
		}
		if h, err := DecodeHeader(e.Bytes); err != nil || h != e.Header {
			t.Errorf("%+v, %v", h, err)
		}
		if e.Record.size() < (len(e.Bytes)-HeaderBytes)/4 {
			t.Errorf("%v of %d bytes guesses %d", e.Header.Type, len(e.Bytes), e.Record.size())
		}
		// Every cut is an error, but where an older form of the same ends: without the digest or a part of it, a create
		// without the parent's number.
		full := len(e.Bytes)
		if e.Digest != nil {
			full -= DigestBytes
		}
		for cut := range full {
			got, err := Decode(e.Bytes[:cut:cut])
			_, isCreate := e.Record.(*Create)
			older := isCreate && cut == full-4 || e.Header.Type == wire.OpCloseSession && cut == HeaderBytes
			if c, ok := e.Record.(*CloseSession); ok && len(c.Paths) == DigestVersion && cut == HeaderBytes+DigestBytes {
				continue // looks like a digest
			}
			if older != (err == nil) || err != nil && !errors.Is(err, wire.ErrTruncated) {
				t.Errorf("%v of %d bytes, cut to %d: %+v, %v", e.Header.Type, len(e.Bytes), cut, got.Record, err)
			}
		}
	}
}

func TestOldForms(t *testing.T) {
	e := New(Header{Zxid: 1, Type: wire.OpCreate}, &Create{Path: "/a", Data: []byte("x"), ACL: wire.OpenACL(), Ephemeral: true, ParentCversion: 9}, nil)
	got, err := Decode(e.Bytes[:len(e.Bytes)-4])
	if c, ok := got.Record.(*Create); err != nil || !ok || c.ParentCversion != -1 || !c.Ephemeral {
		t.Errorf("create of 3.3: %+v, %v", got.Record, err)
	}
	// What does not fit behind the record is ignored.
	e = New(Header{Zxid: 1, Type: wire.OpDelete}, &Delete{Path: "/a"}, nil)
	if got, err := Decode(append(e.Bytes, 1, 2, 3)); err != nil || got.Digest != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	sub := func(op wire.OpCode, r Record) Record { return &Multi{Txns: []Sub{{op, r}}} }
	for name, b := range map[string][]byte{
		"unknown type":       append(Header{Type: 99}.append(nil), make([]byte, 50)...),
		"a read":             append(Header{Type: wire.OpGetData}.append(nil), make([]byte, 50)...),
		"multi in a multi":   New(Header{Type: wire.OpMulti}, sub(wire.OpMulti, &Multi{}), nil).Bytes,
		"session in a multi": New(Header{Type: wire.OpMulti}, sub(wire.OpCloseSession, &CloseSession{}), nil).Bytes,
		"short part":         New(Header{Type: wire.OpMulti}, sub(wire.OpCreate, &Error{}), nil).Bytes,
		"null path":          append(Header{Type: wire.OpDelete}.append(nil), 0xff, 0xff, 0xff, 0xff),
		"negative length":    append(Header{Type: wire.OpDelete}.append(nil), 0xff, 0xff, 0xff, 0xfe, 1, 2),
		"negative count":     append(Header{Type: wire.OpMulti}.append(nil), 0xff, 0xff, 0xff, 0xfe, 1, 2),
	} {
		if e, err := Decode(b); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestHugeCounts(t *testing.T) {
	for _, op := range []wire.OpCode{wire.OpMulti, wire.OpCloseSession, wire.OpCreate, wire.OpSetData} {
		b := append(Header{Type: op}.append(nil), 0x3f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(b)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<16 {
			t.Errorf("%v: %d bytes are allocated, %v", op, n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range proposals(f) {
		f.Add(b)
	}
	for _, e := range every() {
		f.Add(e.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		if c, ok := e.Record.(*CloseSession); ok && len(c.Paths) == 2 && c.Paths[0] == "" && c.Paths[1] == "" {
			return // no paths, and encoded they look like a digest
		}
		again, err := Decode(New(e.Header, e.Record, e.Digest).Bytes)
		if err != nil {
			t.Fatalf("%x is %+v: %v", b, e.Record, err)
		}
		e.Bytes, again.Bytes = nil, nil
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("%x is %+v, then %+v", b, e.Record, again.Record)
		}
	})
}
