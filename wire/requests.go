package wire

// The bodies of requests. Decode reads one from the front of a decoder and leaves what follows; Append writes it. A list
// of ACLs that is nil is null.

// CreateRequest is create, create2 and createContainer.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
}

// Values of CreateRequest.Flags.
const (
	FlagPersistent              = 0
	FlagEphemeral               = 1
	FlagSequential              = 2
	FlagEphemeralSequential     = 3
	FlagContainer               = 4
	FlagPersistentTTL           = 5
	FlagPersistentSequentialTTL = 6
)

// Append appends the record.
func (r CreateRequest) Append(b []byte) []byte {
	return AppendInt32(AppendNullableACLs(AppendBuffer(AppendString(b, r.Path), r.Data), r.ACL), r.Flags)
}

// Decode reads the record.
func (r *CreateRequest) Decode(d *Decoder) {
	r.Path, r.Data, r.ACL, r.Flags = d.String(), d.Buffer(), d.ACLs(), d.Int32()
}

// CreateTTLRequest is createTTL.
type CreateTTLRequest struct {
	CreateRequest
	TTL int64 // ms
}

// Append appends the record.
func (r CreateTTLRequest) Append(b []byte) []byte {
	return AppendInt64(r.CreateRequest.Append(b), r.TTL)
}

// Decode reads the record.
func (r *CreateTTLRequest) Decode(d *Decoder) {
	r.CreateRequest.Decode(d)
	r.TTL = d.Int64()
}

// VersionRequest is delete and check: a path and the expected version, -1 for any.
type VersionRequest struct {
	Path    string
	Version int32
}

// Append appends the record.
func (r VersionRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, r.Path), r.Version)
}

// Decode reads the record.
func (r *VersionRequest) Decode(d *Decoder) { r.Path, r.Version = d.String(), d.Int32() }

// ReadRequest is exists, getData, getChildren and getChildren2.
type ReadRequest struct {
	Path  string
	Watch bool
}

// Append appends the record.
func (r ReadRequest) Append(b []byte) []byte { return AppendBool(AppendString(b, r.Path), r.Watch) }

// Decode reads the record.
func (r *ReadRequest) Decode(d *Decoder) { r.Path, r.Watch = d.String(), d.Bool() }

// SetDataRequest is setData.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// Append appends the record.
func (r SetDataRequest) Append(b []byte) []byte {
	return AppendInt32(AppendBuffer(AppendString(b, r.Path), r.Data), r.Version)
}

// Decode reads the record. A null path reads as the empty one, which is as bad.
func (r *SetDataRequest) Decode(d *Decoder) {
	r.Path, _ = d.NullableString()
	r.Data, r.Version = d.Buffer(), d.Int32()
}

// SetACLRequest is setACL.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// Append appends the record.
func (r SetACLRequest) Append(b []byte) []byte {
	return AppendInt32(AppendNullableACLs(AppendString(b, r.Path), r.ACL), r.Version)
}

// Decode reads the record. A null path reads as the empty one, which is as bad.
func (r *SetACLRequest) Decode(d *Decoder) {
	r.Path, _ = d.NullableString()
	r.ACL, r.Version = d.ACLs(), d.Int32()
}

// PathRequest is sync, getACL, getEphemerals and getAllChildrenNumber.
type PathRequest struct{ Path string }

// Append appends the record.
func (r PathRequest) Append(b []byte) []byte { return AppendString(b, r.Path) }

// Decode reads the record.
func (r *PathRequest) Decode(d *Decoder) { r.Path = d.String() }

// WatchRequest is addWatch, whose Type is a mode, and checkWatches and removeWatches, whose Type is a WatcherType.
type WatchRequest struct {
	Path string
	Type int32
}

// Append appends the record.
func (r WatchRequest) Append(b []byte) []byte { return AppendInt32(AppendString(b, r.Path), r.Type) }

// Decode reads the record.
func (r *WatchRequest) Decode(d *Decoder) { r.Path, r.Type = d.String(), d.Int32() }

// Modes of addWatch.
const (
	AddWatchPersistent          = 0
	AddWatchPersistentRecursive = 1
)

// Types of watches in checkWatches and removeWatches.
const (
	WatchesChildren            = 1
	WatchesData                = 2
	WatchesAny                 = 3
	WatchesPersistent          = 4
	WatchesPersistentRecursive = 5
)

// SetWatchesRequest is setWatches and setWatches2; the last two lists belong to the latter only.
type SetWatchesRequest struct {
	RelativeZxid        Zxid
	Data                []string
	Exist               []string
	Child               []string
	Persistent          []string
	PersistentRecursive []string
}

// Append appends the record of op.
func (r SetWatchesRequest) Append(b []byte, op OpCode) []byte {
	b = AppendInt64(b, int64(r.RelativeZxid))
	b = AppendStrings(AppendStrings(AppendStrings(b, r.Data), r.Exist), r.Child)
	if op == OpSetWatches2 {
		b = AppendStrings(AppendStrings(b, r.Persistent), r.PersistentRecursive)
	}
	return b
}

// Decode reads the record of op.
func (r *SetWatchesRequest) Decode(d *Decoder, op OpCode) {
	r.RelativeZxid = Zxid(d.Int64())
	r.Data, r.Exist, r.Child = d.Strings(), d.Strings(), d.Strings()
	if op == OpSetWatches2 {
		r.Persistent, r.PersistentRecursive = d.Strings(), d.Strings()
	}
}

// ReconfigRequest is reconfig. A nil text is null.
type ReconfigRequest struct {
	Joining, Leaving, NewMembers *string
	ConfigID                     int64 // the version that must be current, -1 for any
}

// Append appends the record.
func (r ReconfigRequest) Append(b []byte) []byte {
	for _, text := range []*string{r.Joining, r.Leaving, r.NewMembers} {
		if text == nil {
			b = AppendInt32(b, -1)
		} else {
			b = AppendString(b, *text)
		}
	}
	return AppendInt64(b, r.ConfigID)
}

// Decode reads the record.
func (r *ReconfigRequest) Decode(d *Decoder) {
	for _, text := range []**string{&r.Joining, &r.Leaving, &r.NewMembers} {
		*text = nil
		if s, ok := d.NullableString(); ok {
			*text = &s
		}
	}
	r.ConfigID = d.Int64()
}

// MultiHeader precedes each part of a multi, and ends it.
type MultiHeader struct {
	Type OpCode
	Done bool
	Err  ErrCode
}

// MultiEnd is the header that ends a multi.
var MultiEnd = MultiHeader{Type: OpError, Done: true, Err: -1}

// Append appends the record.
func (r MultiHeader) Append(b []byte) []byte {
	return AppendInt32(AppendBool(AppendInt32(b, int32(r.Type)), r.Done), int32(r.Err))
}

// Decode reads the record.
func (r *MultiHeader) Decode(d *Decoder) {
	r.Type, r.Done, r.Err = OpCode(d.Int32()), d.Bool(), ErrCode(d.Int32())
}
