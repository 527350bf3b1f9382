package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// recorded is a message of Apache ZooKeeper 3.8.0, and what another decoder made of it.
type recorded struct {
	name   string
	fields map[string]any
	raw    []byte
}

// recordings reads testdata/apache-3.8.0.txt.
func recordings(t testing.TB) []recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/apache-3.8.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		if len(parts) != 3 {
			continue // a comment
		}
		r := recorded{name: parts[0]}
		d := json.NewDecoder(strings.NewReader(parts[1]))
		d.UseNumber()
		if err := d.Decode(&r.fields); err != nil {
			t.Fatal(err)
		}
		if r.raw, err = hex.DecodeString(parts[2]); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if len(list) < 400 {
		t.Fatalf("%d messages", len(list))
	}
	return list
}

// reading decodes a message, and encodes each field again.
type reading struct {
	*Decoder
	fields map[string]any
	again  []byte
}

// set notes a field as the other decoder shows it: zxids and sessions as text, the rest as JSON.
func (r *reading) set(name string, v any) {
	switch x := v.(type) {
	case fmt.Stringer:
		v = x.String()
	case []byte:
		if x == nil {
			v = nil
		} else {
			v = string(x)
		}
	case []ACL:
		list := [][]any{}
		for _, a := range x {
			list = append(list, []any{a.Perms, a.ID.Scheme, a.ID.ID})
		}
		v = list
	case []ID:
		if x == nil {
			v = nil
			break
		}
		list := [][]any{}
		for _, id := range x {
			list = append(list, []any{id.Scheme, id.ID})
		}
		v = list
	}
	r.fields[name] = v
}

func (r *reading) stat() {
	var s Stat
	s.Decode(r.Decoder)
	r.again = s.Append(r.again)
	r.fields["stat"] = map[string]any{
		"czxid": s.Czxid.String(), "mzxid": s.Mzxid.String(), "pzxid": s.Pzxid.String(), "ctime": s.Ctime, "mtime": s.Mtime,
		"version": s.Version, "cversion": s.Cversion, "aversion": s.Aversion, "ephemeralOwner": SessionID(s.EphemeralOwner).String(),
		"dataLength": s.DataLength, "numChildren": s.NumChildren,
	}
}

func (r *reading) text(name string) {
	s := r.String()
	r.set(name, s)
	r.again = AppendString(r.again, s)
}

func (r *reading) buffer(name string) {
	b := r.Buffer()
	r.set(name, b)
	r.again = AppendBuffer(r.again, b)
}

func (r *reading) texts(name string) {
	s := r.Strings()
	r.set(name, s)
	r.again = AppendStrings(r.again, s)
}

func (r *reading) int(name string) {
	n := r.Int32()
	r.set(name, n)
	r.again = AppendInt32(r.again, n)
}

// part is the body of a request, alone or in a multi.
func (r *reading) part(op OpCode) bool {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		var q CreateRequest
		q.Decode(r.Decoder)
		r.create(q)
		r.again = q.Append(r.again)
	case OpCreateTTL:
		var q CreateTTLRequest
		q.Decode(r.Decoder)
		r.create(q.CreateRequest)
		r.set("ttl", q.TTL)
		r.again = q.Append(r.again)
	case OpDelete, OpCheck:
		var q VersionRequest
		q.Decode(r.Decoder)
		r.set("path", q.Path)
		r.set("version", q.Version)
		r.again = q.Append(r.again)
	case OpSetData:
		var q SetDataRequest
		q.Decode(r.Decoder)
		r.set("path", q.Path)
		r.set("data", q.Data)
		r.set("version", q.Version)
		r.again = q.Append(r.again)
	case OpExists, OpGetData, OpGetChildren, OpGetChildren2:
		var q ReadRequest
		q.Decode(r.Decoder)
		r.set("path", q.Path)
		r.set("watch", q.Watch)
		r.again = q.Append(r.again)
	default:
		return false
	}
	return true
}

func (r *reading) create(q CreateRequest) {
	r.set("path", q.Path)
	r.set("data", q.Data)
	r.set("acl", q.ACL)
	r.set("flags", q.Flags)
}

func (r *reading) request(op OpCode) error {
	switch op {
	case OpPing, OpCloseSession, OpWhoAmI, 99:
	case OpSetACL:
		var q SetACLRequest
		q.Decode(r.Decoder)
		r.set("path", q.Path)
		r.set("acl", q.ACL)
		r.set("version", q.Version)
		r.again = q.Append(r.again)
	case OpSync, OpGetACL, OpGetEphemerals, OpGetAllChildrenNumber, OpDeleteContainer:
		var q PathRequest
		q.Decode(r.Decoder)
		if op == OpGetEphemerals {
			r.set("prefix", q.Path)
		} else {
			r.set("path", q.Path)
		}
		r.again = q.Append(r.again)
	case OpAddWatch, OpCheckWatches, OpRemoveWatches:
		var q WatchRequest
		q.Decode(r.Decoder)
		r.set("path", q.Path)
		r.set(map[bool]string{true: "mode", false: "type"}[op == OpAddWatch], q.Type)
		r.again = q.Append(r.again)
	case OpSetWatches, OpSetWatches2:
		var q SetWatchesRequest
		q.Decode(r.Decoder, op)
		r.set("relativeZxid", q.RelativeZxid)
		r.set("data", q.Data)
		r.set("exist", q.Exist)
		r.set("child", q.Child)
		if op == OpSetWatches2 {
			r.set("persistent", q.Persistent)
			r.set("recursive", q.PersistentRecursive)
		}
		r.again = q.Append(r.again, op)
	case OpAuth:
		var q AuthPacket
		if err := q.Unmarshal(r.Rest()); err != nil {
			return err
		}
		r.set("type", q.Type)
		r.set("scheme", q.Scheme)
		r.set("auth", q.Auth)
		r.again = q.Append(r.again)
		r.Decoder = NewDecoder(nil)
	case OpSASL:
		r.buffer("token")
	case OpReconfig:
		var q ReconfigRequest
		q.Decode(r.Decoder)
		r.set("joining", q.Joining)
		r.set("leaving", q.Leaving)
		r.set("members", q.NewMembers)
		r.set("config", q.ConfigID)
		r.again = q.Append(r.again)
	case OpMulti, OpMultiRead:
		return r.multi(false)
	default:
		if !r.part(op) {
			return fmt.Errorf("what is a %v?", op)
		}
	}
	return nil
}

// multi reads the parts of a multi, or their results.
func (r *reading) multi(results bool) error {
	all := r.fields
	list := []any{}
	for {
		var h MultiHeader
		h.Decode(r.Decoder)
		r.again = h.Append(r.again)
		if r.Err() != nil {
			return r.Err()
		}
		if h.Done {
			if h != MultiEnd {
				return fmt.Errorf("the end is %v", h)
			}
			break
		}
		r.fields = map[string]any{"op": h.Type.String()}
		switch {
		case results && h.Type == OpError:
			delete(r.fields, "op")
			r.int("err")
		case !results:
			if !r.part(h.Type) {
				return fmt.Errorf("what is a %v in a multi?", h.Type)
			}
		case h.Type == OpCheck, h.Type == OpDelete:
		default:
			if err := r.reply(h.Type); err != nil {
				return err
			}
		}
		list = append(list, r.fields)
	}
	r.fields = all
	r.fields[map[bool]string{true: "results", false: "ops"}[results]] = list
	return nil
}

func (r *reading) reply(op OpCode) error {
	switch op {
	case OpAddWatch:
		r.int("err") // an ErrorResponse
	case OpPing, OpCloseSession, OpDelete, OpAuth, OpCheckWatches, OpRemoveWatches, OpSetWatches, OpSetWatches2:
	case OpCreate, OpSync:
		r.text("path")
	case OpCreate2, OpCreateTTL, OpCreateContainer:
		r.text("path")
		r.stat()
	case OpSetData, OpSetACL, OpExists:
		r.stat()
	case OpGetData, OpReconfig:
		r.buffer("data")
		r.stat()
	case OpGetACL:
		acl := r.ACLs()
		r.set("acl", acl)
		r.again = AppendACLs(r.again, acl)
		r.stat()
	case OpGetChildren:
		r.texts("children")
	case OpGetChildren2:
		r.texts("children")
		r.stat()
	case OpGetEphemerals:
		r.texts("ephemerals")
	case OpGetAllChildrenNumber:
		r.int("total")
	case OpWhoAmI:
		n, _ := r.Count(8)
		r.again = AppendInt32(r.again, int32(n))
		list := [][]any{}
		for range n {
			info := ClientInfo{AuthScheme: r.String(), User: r.String()}
			r.again = AppendString(AppendString(r.again, info.AuthScheme), info.User)
			list = append(list, []any{info.AuthScheme, info.User})
		}
		r.set("clientInfo", list)
	case OpSASL:
		r.buffer("token")
	case OpMulti, OpMultiRead:
		return r.multi(true)
	default:
		return fmt.Errorf("what is the reply of a %v?", op)
	}
	return nil
}

var opsByName = func() map[string]OpCode {
	m := map[string]OpCode{"99": 99}
	for op, name := range opNames {
		m[name] = op
	}
	return m
}()

// frame reads what stands behind the length of a message of the client port.
func (r *reading) frame(name string) error {
	kind, opName, _ := strings.Cut(name, ":")
	op := opsByName[opName]
	switch kind {
	case "request":
		h := RequestHeader{Xid: r.Int32(), Type: OpCode(r.Int32())}
		r.again = h.Append(r.again)
		if h.Type != op {
			return fmt.Errorf("it is a %v", h.Type)
		}
		r.set("xid", h.Xid)
		r.set("op", h.Type)
		if op == 99 {
			r.set("op", 99)
		}
		return r.request(op)
	case "reply", "WatcherEvent":
		var h ReplyHeader
		h.Decode(r.Decoder)
		r.again = h.Append(r.again)
		r.set("xid", h.Xid)
		r.set("zxid", h.Zxid)
		if kind == "reply" {
			r.set("err", h.Err)
			if h.Err != ErrOK {
				return nil // no record follows
			}
			return r.reply(op)
		}
		var e WatcherEvent
		if err := e.Unmarshal(r.Rest()); err != nil {
			return err
		}
		r.again = e.Append(r.again)
		r.Decoder = NewDecoder(nil)
		r.set("event", [...]string{"", "NodeCreated", "NodeDeleted", "NodeDataChanged", "NodeChildrenChanged"}[e.Type])
		r.set("state", e.State)
		r.set("path", e.Path)
	case "ConnectRequest":
		var q ConnectRequest
		if err := q.Unmarshal(r.Rest()); err != nil {
			return err
		}
		r.again = q.Append(r.again)
		r.Decoder = NewDecoder(nil)
		r.connect(q.ProtocolVersion, q.TimeOut, q.SessionID, q.Passwd, q.ReadOnly, q.HasReadOnly)
		r.set("lastZxidSeen", q.LastZxidSeen)
	case "ConnectResponse":
		var q ConnectResponse
		if err := q.Unmarshal(r.Rest()); err != nil {
			return err
		}
		r.again = q.Append(r.again)
		r.Decoder = NewDecoder(nil)
		r.connect(q.ProtocolVersion, q.TimeOut, q.SessionID, q.Passwd, q.ReadOnly, q.HasReadOnly)
	}
	return nil
}

func (r *reading) connect(version, timeOut int32, id SessionID, passwd []byte, readOnly, hasReadOnly bool) {
	r.set("protocolVersion", version)
	r.set("timeOut", timeOut)
	r.set("sessionId", id)
	r.set("passwd", passwd)
	if hasReadOnly {
		r.set("readOnly", readOnly)
	}
}

var packetsByName = func() map[string]PacketType {
	m := make(map[string]PacketType)
	for i, name := range packetNames {
		m[name] = PacketType(i)
	}
	return m
}()

// packet reads a packet of the quorum port. Transactions and requests in it are the matter of other packages.
func (r *reading) packet(name string, raw []byte) error {
	in := bytes.NewReader(raw)
	p, err := ReadQuorumPacket(in, 1<<20)
	if err != nil || in.Len() > 0 || p.Type != packetsByName[name] || p.Type.String() != name {
		return fmt.Errorf("%v, %d bytes are left: %w", p.Type, in.Len(), err)
	}
	r.again = p.Append(r.again)
	r.set("zxid", p.Zxid)
	r.set("authinfo", p.Auth)
	switch p.Type {
	case PacketFollowerInfo, PacketObserverInfo:
		i, err := ParseLearnerInfo(p.Data)
		if err != nil || !bytes.Equal(i.Marshal(), p.Data) {
			return fmt.Errorf("%x is %v: %w", p.Data, i, err)
		}
		r.set("serverid", i.ServerID)
		r.set("protocolVersion", Zxid(i.ProtocolVersion))
		r.set("configVersion", Zxid(i.ConfigVersion))
	case PacketAckEpoch:
		e, err := ParseEpoch(p.Data)
		if err != nil || !bytes.Equal(AppendEpoch(nil, e), p.Data) {
			return fmt.Errorf("%x is %v: %w", p.Data, e, err)
		}
		r.set("currentEpoch", e)
	case PacketAck, PacketCommit, PacketDiff, PacketTrunc, PacketSnap, PacketUpToDate, PacketSync, PacketNewLeader:
		r.set("data", p.Data)
	}
	return nil
}

// TestApache decodes messages of Apache ZooKeeper, compares them with what another decoder made of them, and encodes them
// to the same bytes.
func TestApache(t *testing.T) {
	names := make(map[string]int)
	for _, m := range recordings(t) {
		r := &reading{Decoder: NewDecoder(nil), fields: make(map[string]any)}
		want := m.raw
		var err error
		switch {
		case m.name == "InitialMessage":
			continue // see package peer
		case packetsByName[m.name] > 0:
			err = r.packet(m.name, m.raw)
		default:
			d := NewDecoder(m.raw)
			want = d.Buffer() // every other message stands behind its length
			if err = d.Err(); err != nil || len(d.Rest()) > 0 {
				t.Errorf("%s %x: the length is wrong", m.name, m.raw)
				continue
			}
			if m.name == "Notification" {
				var n Notification
				err = n.Unmarshal(want)
				r.again = n.Append(nil)
				r.set("state", [...]string{"LOOKING", "FOLLOWING", "LEADING", "OBSERVING"}[n.State])
				r.set("leader", n.Leader)
				r.set("zxid", n.Zxid)
				r.set("electionEpoch", Zxid(n.ElectionEpoch))
				r.set("peerEpoch", Zxid(n.PeerEpoch))
				r.set("version", n.Version)
				r.set("config", n.Config)
				break
			}
			r.Decoder = NewDecoder(want)
			err = r.frame(m.name)
		}
		names[m.name]++
		if err = errors.Join(err, r.Err()); err != nil || len(r.Rest()) > 0 {
			t.Errorf("%s %x: %d bytes are left: %v", m.name, m.raw, len(r.Rest()), err)
			continue
		}
		if !bytes.Equal(r.again, want) {
			t.Errorf("%s is encoded as\n%x\ninstead of\n%x", m.name, r.again, want)
		}
		for name, got := range r.fields {
			if err := same(got, m.fields[name]); err != nil {
				t.Errorf("%s: %s: %v", m.name, name, err)
			}
		}
		switch m.name {
		case "PROPOSAL", "INFORM", "INFORMANDACTIVATE", "COMMITANDACTIVATE", "REQUEST", "REVALIDATE", "PING", "LEADERINFO":
		default:
			for name := range m.fields {
				if _, ok := r.fields[name]; !ok {
					t.Errorf("%s: nobody looks at %s", m.name, name)
				}
			}
		}
	}
	if len(names) < 70 {
		t.Errorf("%d kinds of messages", len(names))
	}
}

// same compares a field with the JSON of the other decoder.
func same(got, want any) error {
	b, err := json.Marshal(got)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var normal any
	if err := d.Decode(&normal); err != nil {
		return err
	}
	if text, ok := want.(string); ok && strings.HasPrefix(text, "hex:") {
		want = text[4:]
		if s, ok := got.(string); ok {
			normal = hex.EncodeToString([]byte(s))
		}
	}
	if !reflect.DeepEqual(normal, want) {
		return fmt.Errorf("%v instead of %v", normal, want)
	}
	return nil
}
