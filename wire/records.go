package wire

// ID names somebody in a scheme of authentication.
type ID struct {
	Scheme string
	ID     string
}

// AnyoneID is everybody.
var AnyoneID = ID{Scheme: "world", ID: "anyone"}

// ACL gives permissions to an id.
type ACL struct {
	Perms Perms
	ID    ID
}

// OpenACL lets everybody do everything.
func OpenACL() []ACL { return []ACL{{Perms: PermAll, ID: AnyoneID}} }

// Stat is what clients are told of a znode.
type Stat struct {
	Czxid, Mzxid                Zxid
	Ctime, Mtime                int64 // ms since the Unix epoch
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, NumChildren     int32
	Pzxid                       Zxid
}

// StatPersisted is what snapshots keep of a znode.
type StatPersisted struct {
	Czxid, Mzxid                Zxid
	Ctime, Mtime                int64 // ms since the Unix epoch
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	Pzxid                       Zxid
}

// ClientInfo is an id of a connection, as whoAmI shows it.
type ClientInfo struct {
	AuthScheme string
	User       string
}

// AppendID appends an id.
func AppendID(b []byte, v ID) []byte { return AppendString(AppendString(b, v.Scheme), v.ID) }

// ID reads an id. Null reads as empty, which no scheme is called.
func (d *Decoder) ID() ID {
	scheme, _ := d.NullableString()
	id, _ := d.NullableString()
	return ID{Scheme: scheme, ID: id}
}

// AppendACLs appends a list, which is never null.
func AppendACLs(b []byte, v []ACL) []byte {
	b = AppendInt32(b, int32(len(v)))
	for _, a := range v {
		b = AppendID(AppendInt32(b, int32(a.Perms)), a.ID)
	}
	return b
}

// EncodedBytes is the length of an entry in a list.
func (a ACL) EncodedBytes() int { return 12 + len(a.ID.Scheme) + len(a.ID.ID) }

// AppendNullableACLs appends a list; nil is null.
func AppendNullableACLs(b []byte, v []ACL) []byte {
	if v == nil {
		return AppendInt32(b, -1)
	}
	return AppendACLs(b, v)
}

// ACLs reads a list; nil is null.
func (d *Decoder) ACLs() []ACL {
	n, null := d.Count(12)
	if null || d.err != nil {
		return nil
	}
	v := make([]ACL, 0, n)
	for range n {
		v = append(v, ACL{Perms: Perms(d.Int32()), ID: d.ID()})
	}
	return v
}

// Append appends the record.
func (s Stat) Append(b []byte) []byte {
	b = AppendInt64(AppendInt64(b, int64(s.Czxid)), int64(s.Mzxid))
	b = AppendInt64(AppendInt64(b, s.Ctime), s.Mtime)
	b = AppendInt32(AppendInt32(AppendInt32(b, s.Version), s.Cversion), s.Aversion)
	b = AppendInt64(b, s.EphemeralOwner)
	b = AppendInt32(AppendInt32(b, s.DataLength), s.NumChildren)
	return AppendInt64(b, int64(s.Pzxid))
}

// Decode reads the record.
func (s *Stat) Decode(d *Decoder) {
	s.Czxid, s.Mzxid = Zxid(d.Int64()), Zxid(d.Int64())
	s.Ctime, s.Mtime = d.Int64(), d.Int64()
	s.Version, s.Cversion, s.Aversion = d.Int32(), d.Int32(), d.Int32()
	s.EphemeralOwner = d.Int64()
	s.DataLength, s.NumChildren = d.Int32(), d.Int32()
	s.Pzxid = Zxid(d.Int64())
}

// Append appends the record.
func (s StatPersisted) Append(b []byte) []byte {
	b = AppendInt64(AppendInt64(b, int64(s.Czxid)), int64(s.Mzxid))
	b = AppendInt64(AppendInt64(b, s.Ctime), s.Mtime)
	b = AppendInt32(AppendInt32(AppendInt32(b, s.Version), s.Cversion), s.Aversion)
	return AppendInt64(AppendInt64(b, s.EphemeralOwner), int64(s.Pzxid))
}

// Decode reads the record.
func (s *StatPersisted) Decode(d *Decoder) {
	s.Czxid, s.Mzxid = Zxid(d.Int64()), Zxid(d.Int64())
	s.Ctime, s.Mtime = d.Int64(), d.Int64()
	s.Version, s.Cversion, s.Aversion = d.Int32(), d.Int32(), d.Int32()
	s.EphemeralOwner, s.Pzxid = d.Int64(), Zxid(d.Int64())
}

// ConnectRequest is the first frame of a client.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    Zxid
	TimeOut         int32 // ms
	SessionID       SessionID
	Passwd          []byte
	ReadOnly        bool
	// HasReadOnly tells that the field readOnly was there; clients before 3.4 and some others lack it.
	HasReadOnly bool
}

// Append appends the record.
func (r ConnectRequest) Append(b []byte) []byte {
	b = AppendInt64(AppendInt32(b, r.ProtocolVersion), int64(r.LastZxidSeen))
	b = AppendInt64(AppendInt32(b, r.TimeOut), int64(r.SessionID))
	b = AppendBuffer(b, r.Passwd)
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return b
}

// Unmarshal reads the record.
func (r *ConnectRequest) Unmarshal(b []byte) error {
	d := NewDecoder(b)
	r.ProtocolVersion, r.LastZxidSeen = d.Int32(), Zxid(d.Int64())
	r.TimeOut, r.SessionID = d.Int32(), SessionID(d.Int64())
	r.Passwd = d.Buffer()
	if r.HasReadOnly = len(d.Rest()) > 0; r.HasReadOnly {
		r.ReadOnly = d.Bool()
	}
	return d.Err()
}

// ConnectResponse answers a ConnectRequest. TimeOut 0 and SessionID 0 say that the session is over.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeOut         int32 // ms
	SessionID       SessionID
	Passwd          []byte
	ReadOnly        bool
	// HasReadOnly sends the field readOnly, to clients that sent it.
	HasReadOnly bool
}

// Append appends the record.
func (r ConnectResponse) Append(b []byte) []byte {
	b = AppendInt32(AppendInt32(b, r.ProtocolVersion), r.TimeOut)
	b = AppendBuffer(AppendInt64(b, int64(r.SessionID)), r.Passwd)
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return b
}

// Unmarshal reads the record.
func (r *ConnectResponse) Unmarshal(b []byte) error {
	d := NewDecoder(b)
	r.ProtocolVersion, r.TimeOut, r.SessionID = d.Int32(), d.Int32(), SessionID(d.Int64())
	r.Passwd = d.Buffer()
	if r.HasReadOnly = len(d.Rest()) > 0; r.HasReadOnly {
		r.ReadOnly = d.Bool()
	}
	return d.Err()
}

// RequestHeader precedes every request but the first.
type RequestHeader struct {
	Xid  int32
	Type OpCode
}

// Append appends the record.
func (r RequestHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt32(b, r.Xid), int32(r.Type))
}

// ReplyHeader precedes every reply but the first, and events.
type ReplyHeader struct {
	Xid  int32
	Zxid Zxid
	Err  ErrCode
}

// Append appends the record.
func (r ReplyHeader) Append(b []byte) []byte {
	return AppendInt32(AppendInt64(AppendInt32(b, r.Xid), int64(r.Zxid)), int32(r.Err))
}

// Decode reads the record.
func (r *ReplyHeader) Decode(d *Decoder) {
	r.Xid, r.Zxid, r.Err = d.Int32(), Zxid(d.Int64()), ErrCode(d.Int32())
}

// WatcherEvent tells a client of a change.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// Append appends the record.
func (r WatcherEvent) Append(b []byte) []byte {
	return AppendString(AppendInt32(AppendInt32(b, int32(r.Type)), r.State), r.Path)
}

// Unmarshal reads the record.
func (r *WatcherEvent) Unmarshal(b []byte) error {
	d := NewDecoder(b)
	r.Type, r.State, r.Path = EventType(d.Int32()), d.Int32(), d.String()
	return d.Err()
}

// AuthPacket authenticates a client.
type AuthPacket struct {
	Type   int32
	Scheme string
	Auth   []byte
}

// Append appends the record.
func (r AuthPacket) Append(b []byte) []byte {
	return AppendBuffer(AppendString(AppendInt32(b, r.Type), r.Scheme), r.Auth)
}

// Unmarshal reads the record.
func (r *AuthPacket) Unmarshal(b []byte) error {
	d := NewDecoder(b)
	r.Type = d.Int32()
	r.Scheme, _ = d.NullableString() // null reads as empty, which no scheme is called
	r.Auth = d.Buffer()
	return d.Err()
}
