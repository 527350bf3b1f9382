package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// record is a body that can be decoded and encoded.
type record interface {
	Decode(*Decoder)
	Append([]byte) []byte
}

type (
	watchesOf101 struct{ SetWatchesRequest }
	watchesOf105 struct{ SetWatchesRequest }
	aclList      struct{ ACLs []ACL }
)

func (r *watchesOf101) Decode(d *Decoder)     { r.SetWatchesRequest.Decode(d, OpSetWatches) }
func (r watchesOf101) Append(b []byte) []byte { return r.SetWatchesRequest.Append(b, OpSetWatches) }
func (r *watchesOf105) Decode(d *Decoder)     { r.SetWatchesRequest.Decode(d, OpSetWatches2) }
func (r watchesOf105) Append(b []byte) []byte { return r.SetWatchesRequest.Append(b, OpSetWatches2) }
func (r *aclList) Decode(d *Decoder)          { r.ACLs = d.ACLs() }
func (r aclList) Append(b []byte) []byte      { return AppendNullableACLs(b, r.ACLs) }

var records = []func() record{
	func() record { return new(CreateRequest) }, func() record { return new(CreateTTLRequest) },
	func() record { return new(VersionRequest) }, func() record { return new(ReadRequest) },
	func() record { return new(SetDataRequest) }, func() record { return new(SetACLRequest) },
	func() record { return new(PathRequest) }, func() record { return new(WatchRequest) },
	func() record { return new(MultiHeader) }, func() record { return new(Stat) },
	func() record { return new(ReplyHeader) }, func() record { return new(ReconfigRequest) },
	func() record { return new(StatPersisted) }, func() record { return new(watchesOf101) },
	func() record { return new(watchesOf105) }, func() record { return new(aclList) },
}

// FuzzRecords decodes any bytes as each of the records. What was decoded is encoded to what decodes the same.
func FuzzRecords(f *testing.F) {
	for _, m := range recordings(f) {
		if strings.Contains(m.name, ":") && len(m.raw) < 300 {
			f.Add(m.raw[12:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fresh := range records {
			r, again := fresh(), fresh()
			d := NewDecoder(b)
			r.Decode(d)
			if d.Err() != nil {
				continue
			}
			encoded := r.Append(nil)
			d2 := NewDecoder(encoded)
			again.Decode(d2)
			if d2.Err() != nil || len(d2.Rest()) > 0 || len(encoded) != len(b)-len(d.Rest()) && !hasLists(r) || !reflect.DeepEqual(r, again) {
				t.Fatalf("%T %x becomes %x: %v", r, b, encoded, d2.Err())
			}
		}
	})
}

// hasLists tells of records whose null vectors are empty ones here.
func hasLists(r record) bool {
	switch r.(type) {
	case *watchesOf101, *watchesOf105:
		return true
	}
	return false
}

func FuzzHandshake(f *testing.F) {
	for _, m := range recordings(f) {
		if strings.HasPrefix(m.name, "Connect") || m.name == "WatcherEvent" || m.name == "request:auth" {
			f.Add(m.raw[4:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q, q2 ConnectRequest
		if q.Unmarshal(b) == nil && (q2.Unmarshal(q.Append(nil)) != nil || !reflect.DeepEqual(q, q2)) {
			t.Errorf("%x is %v, then %v", b, q, q2)
		}
		var p, p2 ConnectResponse
		if p.Unmarshal(b) == nil && (p2.Unmarshal(p.Append(nil)) != nil || !reflect.DeepEqual(p, p2)) {
			t.Errorf("%x is %v, then %v", b, p, p2)
		}
		var e WatcherEvent
		if e.Unmarshal(b) == nil && !bytes.HasPrefix(b, e.Append(nil)) {
			t.Errorf("%x is %v", b, e)
		}
		var a, a2 AuthPacket
		if err := a.Unmarshal(b); err != nil {
			if !errors.Is(err, ErrTruncated) {
				t.Error(err)
			}
			return
		}
		if err := a2.Unmarshal(a.Append(nil)); err != nil || !reflect.DeepEqual(a, a2) {
			t.Errorf("%x is %v, then %v: %v", b, a, a2, err)
		}
	})
}

func FuzzNotification(f *testing.F) {
	for _, m := range recordings(f) {
		if m.name == "Notification" {
			f.Add(m.raw[4:])
			f.Add(m.raw[4:32])
			f.Add(m.raw[4:44])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n, again Notification
		if n.Unmarshal(b) != nil {
			return
		}
		if n.Version < NotificationVersion {
			n.Version = NotificationVersion // as it is sent
			n.Config = []byte{}
		}
		if err := again.Unmarshal(n.Append(nil)); err != nil {
			t.Fatal(err)
		}
		again.Version = n.Version
		if !bytes.Equal(n.Config, again.Config) {
			t.Errorf("%v, then %v", n, again)
		}
		n.Config, again.Config = nil, nil
		if !reflect.DeepEqual(n, again) {
			t.Errorf("%v, then %v", n, again)
		}
	})
}

func FuzzQuorumPacket(f *testing.F) {
	for _, m := range recordings(f) {
		if packetsByName[m.name] > 0 {
			f.Add(m.raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		p, err := ReadQuorumPacket(in, 1<<16)
		if err != nil {
			if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrPacketTooLong) {
				t.Fatal(err)
			}
			if err == io.EOF && len(b) > 0 {
				t.Fatal("a packet that is not whole is a clean end")
			}
			return
		}
		_, _ = ParseLearnerInfo(p.Data)
		_, _ = ParseEpoch(p.Data)
		again, err := ReadQuorumPacket(bytes.NewReader(p.Append(nil)), 1<<16)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%v, then %v: %v", p, again, err)
		}
	})
}

// TestHugeCounts: no record makes the decoder allocate what it does not bring.
func TestHugeCounts(t *testing.T) {
	huge := AppendInt32(nil, 1<<30)
	packet := AppendInt64(AppendInt32(nil, 1), 5)
	for name, read := range map[string]func() error{
		"strings":  func() error { d := NewDecoder(huge); d.Strings(); return d.Err() },
		"acls":     func() error { d := NewDecoder(huge); d.ACLs(); return d.Err() },
		"buffer":   func() error { d := NewDecoder(huge); d.Buffer(); return d.Err() },
		"string":   func() error { d := NewDecoder(huge); _ = d.String(); return d.Err() },
		"negative": func() error { d := NewDecoder(AppendInt32(nil, -2)); d.Strings(); return d.Err() },
		"data": func() error {
			_, err := ReadQuorumPacket(bytes.NewReader(append(bytes.Clone(packet), huge...)), 1<<31-1)
			return err
		},
		"ids": func() error {
			b := AppendInt32(append(bytes.Clone(packet), AppendInt32(nil, -1)...), maxAuthIDs)
			_, err := ReadQuorumPacket(bytes.NewReader(b), 1<<31-1)
			return err
		},
		"too many ids": func() error {
			b := AppendInt32(append(bytes.Clone(packet), AppendInt32(nil, -1)...), maxAuthIDs+1)
			_, err := ReadQuorumPacket(bytes.NewReader(b), 1<<31-1)
			return err
		},
		"long ids": func() error {
			b := append(bytes.Clone(packet), AppendInt32(nil, -1)...)
			b = AppendInt32(b, 20)
			for range 40 {
				b = AppendString(b, strings.Repeat("x", 30))
			}
			_, err := ReadQuorumPacket(bytes.NewReader(b), 1000)
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := read()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<20 {
			t.Errorf("%s: %d bytes are allocated, %v", name, n, err)
		}
	}
}

// TestNull keeps null and empty apart where ZooKeeper does.
func TestNull(t *testing.T) {
	for _, data := range [][]byte{nil, {}, {1}} {
		if got := NewDecoder(AppendBuffer(nil, data)).Buffer(); !reflect.DeepEqual(got, data) {
			t.Errorf("%v becomes %v", data, got)
		}
		p := QuorumPacket{Type: PacketRequest, Data: data}
		if got, err := ReadQuorumPacket(bytes.NewReader(p.Append(nil)), 100); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%v becomes %v, %v", p, got, err)
		}
	}
	for _, auth := range [][]ID{nil, {}, {{"a", ""}}} {
		p := QuorumPacket{Type: PacketRequest, Auth: auth}
		if got, err := ReadQuorumPacket(bytes.NewReader(p.Append(nil)), 100); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%v becomes %v, %v", p, got, err)
		}
	}
	for _, acl := range [][]ACL{nil, {}, OpenACL()} {
		var got CreateRequest
		got.Decode(NewDecoder(CreateRequest{Path: "/a", ACL: acl}.Append(nil)))
		if !reflect.DeepEqual(got.ACL, acl) {
			t.Errorf("%v becomes %v", acl, got.ACL)
		}
	}
	if b := AppendACLs(nil, nil); !bytes.Equal(b, []byte{0, 0, 0, 0}) {
		t.Errorf("a reply has %x for no list", b) // clients fail on null
	}
	if _, ok := NewDecoder(AppendInt32(nil, -1)).NullableString(); ok {
		t.Error("null is a string")
	}
	d := NewDecoder(AppendInt32(nil, -1))
	if s := d.String(); s != "" || !errors.Is(d.Err(), ErrTruncated) {
		t.Errorf("null becomes %q, %v", s, d.Err())
	}
}

// TestTruncated: every record says so when it ends early, wherever.
func TestTruncated(t *testing.T) {
	for _, r := range []record{
		&CreateRequest{Path: "/a", Data: []byte{1}, ACL: OpenACL()}, &CreateTTLRequest{CreateRequest{Path: "/a", ACL: OpenACL()}, 5},
		&VersionRequest{"/a", 1}, &ReadRequest{"/a", true}, &SetDataRequest{"/a", []byte{1}, 1}, &SetACLRequest{"/a", OpenACL(), 1},
		&PathRequest{"/a"}, &WatchRequest{"/a", 1}, &MultiHeader{}, &Stat{}, &StatPersisted{}, &ReplyHeader{}, &ReconfigRequest{},
		&watchesOf101{SetWatchesRequest{1, []string{"/a"}, nil, nil, nil, nil}}, &watchesOf105{SetWatchesRequest{PersistentRecursive: []string{"/a"}}},
	} {
		b := r.Append(nil)
		for cut := range b {
			d := NewDecoder(b[:cut])
			r.Decode(d)
			if !errors.Is(d.Err(), ErrTruncated) {
				t.Errorf("%T of %d bytes, cut to %d: %v", r, len(b), cut, d.Err())
			}
		}
	}
	n := Notification{Config: []byte("config")}.Append(nil)
	for cut := range n {
		if err := new(Notification).Unmarshal(n[:cut]); (err == nil) != (cut == 28 || cut == 40) {
			t.Errorf("a vote of %d of %d bytes: %v", cut, len(n), err)
		}
	}
}

func TestText(t *testing.T) {
	for got, want := range map[string]string{
		Zxid(-1).String(): "0xffffffffffffffff", MakeZxid(2, 0xabc).String(): "0x200000abc", SessionID(-2).String(): "0xfffffffffffffffe",
		PacketType(20).String(): "packet 20", PacketType(-1).String(): "packet -1", PacketSnap.String(): "SNAP",
		OpCode(99).String(): "op 99", OpCreateTTL.String(): "createTTL",
	} {
		if got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	if z := MakeZxid(3, 0xffffffff); z.Epoch() != 3 || z.Counter() != 0xffffffff {
		t.Errorf("%v: %d, %d", z, z.Epoch(), z.Counter())
	}
}
