// Package final answers requests: writes from what became of their transactions, reads from the tree. It decides nothing
// that is replicated. See org.apache.zookeeper.server.FinalRequestProcessor.
package final

import (
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// Client is the connection that asks.
type Client struct {
	Watcher watch.Watcher
	Session wire.SessionID
	Auth    []wire.ID
	// Reads takes the sizes of what is read; nil for nobody.
	Reads *Reads
}

// Server answers requests. It is safe for concurrent use while the tree does not change.
type Server struct {
	Policy  *auth.Policy
	Watches *watch.Manager
}

// Reply answers the write whose transaction had this result. A result of wire.ErrSessionMoved has no answer: the
// connection is closed.
func Reply(h txn.Header, r tree.Result) []byte {
	header := wire.ReplyHeader{Xid: h.Cxid, Zxid: h.Zxid, Err: r.Err}
	frame := header.Append(make([]byte, 0, 128))
	if r.Err != wire.ErrOK {
		return frame
	}
	if h.Type != wire.OpMulti {
		return appendResult(frame, r)
	}
	failed := slices.ContainsFunc(r.Multi, func(part tree.Result) bool { return part.Err != wire.ErrOK })
	for _, part := range r.Multi {
		if failed {
			frame = wire.MultiHeader{Type: wire.OpError, Err: part.Err}.Append(frame)
			frame = wire.AppendInt32(frame, int32(part.Err))
			continue
		}
		kind := part.Type
		if kind == wire.OpCreateContainer || kind == wire.OpCreateTTL {
			kind = wire.OpCreate2
		}
		frame = wire.MultiHeader{Type: kind}.Append(frame)
		frame = appendResult(frame, part)
	}
	return wire.MultiEnd.Append(frame)
}

// appendResult appends the response to a write that succeeded.
func appendResult(frame []byte, r tree.Result) []byte {
	switch r.Type {
	case wire.OpCreate:
		return wire.AppendString(frame, r.Path)
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return r.Stat.Append(wire.AppendString(frame, r.Path))
	case wire.OpSetData, wire.OpSetACL:
		return r.Stat.Append(frame)
	case wire.OpReconfig:
		return r.Stat.Append(wire.AppendBuffer(frame, r.Data))
	}
	return frame
}

// Event is the frame that tells a client of an event.
func Event(e tree.Event) []byte { return event(e.Type, e.Path, e.Zxid) }

func event(kind wire.EventType, path string, zxid wire.Zxid) []byte {
	frame := wire.ReplyHeader{Xid: wire.XidWatch, Zxid: zxid}.Append(make([]byte, 0, 32+len(path)))
	return wire.WatcherEvent{Type: kind, State: wire.SyncConnected, Path: path}.Append(frame)
}

// Answer answers a request that is no write: send is given the frames, in order. closes tells that the connection has to
// be closed afterwards, because the request is none that clients may send.
func (s *Server) Answer(t *tree.Tree, c Client, h wire.RequestHeader, body []byte, send func(frame []byte)) (closes bool) {
	a := answer{Server: s, tree: t, client: c, header: h, d: wire.NewDecoder(body), send: send}
	code, known := a.dispatch()
	switch {
	case !known:
		send(wire.ReplyHeader{Xid: h.Xid, Zxid: -1, Err: wire.ErrUnimplemented}.Append(nil))
		return true
	case code != wire.ErrOK:
		send(wire.ReplyHeader{Xid: h.Xid, Zxid: t.LastZxid(), Err: code}.Append(nil))
	}
	return false
}

// IsRead tells whether Answer sends exactly one frame for such a request and changes nothing but watches.
func IsRead(op wire.OpCode) bool {
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpPing,
		wire.OpGetAllChildrenNumber, wire.OpGetEphemerals, wire.OpWhoAmI, wire.OpMultiRead, wire.OpAddWatch,
		wire.OpCheckWatches, wire.OpRemoveWatches:
		return true
	}
	return false
}

// answer is one request on its way.
type answer struct {
	*Server
	tree   *tree.Tree
	client Client
	header wire.RequestHeader
	d      *wire.Decoder
	send   func([]byte)
}

// reply begins a reply that succeeds and has about size bytes of body.
func (a *answer) reply(size int) []byte {
	header := wire.ReplyHeader{Xid: a.header.Xid, Zxid: a.tree.LastZxid()}
	return header.Append(make([]byte, 0, replyHeaderBytes+size))
}

const (
	replyHeaderBytes = 16
	statBytes        = 68
)

// dispatch answers, or returns the code to answer with; known is false for what is no request.
func (a *answer) dispatch() (code wire.ErrCode, known bool) {
	switch a.header.Type {
	case wire.OpPing:
		a.send(wire.ReplyHeader{Xid: wire.XidPing, Zxid: a.tree.LastZxid()}.Append(nil))
		return wire.ErrOK, true
	case wire.OpExists:
		return a.exists(), true
	case wire.OpGetData:
		return a.getData(), true
	case wire.OpGetChildren, wire.OpGetChildren2:
		return a.getChildren(), true
	case wire.OpGetACL:
		return a.getACL(), true
	case wire.OpSync:
		return a.sync(), true
	case wire.OpMultiRead:
		return a.multiRead(), true
	case wire.OpGetEphemerals:
		return a.getEphemerals(), true
	case wire.OpGetAllChildrenNumber:
		return a.getAllChildrenNumber(), true
	case wire.OpWhoAmI:
		return a.whoAmI(), true
	case wire.OpSetWatches, wire.OpSetWatches2:
		return a.setWatches(), true
	case wire.OpAddWatch:
		return a.addWatch(), true
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		return a.removeWatches(), true
	}
	return wire.ErrOK, false
}

func (a *answer) allowed(n tree.Node, perms wire.Perms) bool {
	return a.Policy.Allowed(n.ACL(), perms, a.client.Auth)
}

// lookup finds a node. The root has a second name for readers, the empty path, as in Apache ZooKeeper.
func (a *answer) lookup(path string) (tree.Node, bool) {
	if path == "" {
		path = "/"
	}
	return a.tree.Lookup(path)
}

// watch registers a watch on a node that was read by this path. Nothing happens under the root's second name.
func (a *answer) watch(path string, n tree.Node, mode watch.Mode) {
	if path != "" {
		path = n.Path() // whose memory the tree keeps anyway
	}
	a.Watches.Add(path, a.client.Watcher, mode)
}

func (a *answer) readRequest() (wire.ReadRequest, bool) {
	var r wire.ReadRequest
	r.Decode(a.d)
	return r, a.d.Err() == nil
}

// exists watches a node that is not there, too.
func (a *answer) exists() wire.ErrCode {
	r, ok := a.readRequest()
	if !ok {
		return wire.ErrMarshalling
	}
	if strings.Contains(r.Path, "\x00") {
		return wire.ErrBadArguments
	}
	n, ok := a.lookup(r.Path)
	if ok && !a.allowed(n, wire.PermRead) {
		return wire.ErrNoAuth
	}
	if !ok {
		if r.Watch {
			a.Watches.Add(r.Path, a.client.Watcher, watch.Data)
		}
		return wire.ErrNoNode
	}
	if r.Watch {
		a.watch(r.Path, n, watch.Data)
	}
	a.client.Reads.note(n.Path(), 0)
	a.send(n.Stat().Append(a.reply(statBytes)))
	return wire.ErrOK
}

// node finds a node to read.
func (a *answer) node(path string) (tree.Node, wire.ErrCode) {
	n, ok := a.lookup(path)
	switch {
	case !ok:
		return n, wire.ErrNoNode
	case !a.allowed(n, wire.PermRead):
		return n, wire.ErrNoAuth
	}
	return n, wire.ErrOK
}

// requested finds the node that a request wants to read, and watches it in this mode if that is wanted, too.
func (a *answer) requested(mode watch.Mode) (tree.Node, wire.ErrCode) {
	r, ok := a.readRequest()
	if !ok {
		return tree.Node{}, wire.ErrMarshalling
	}
	n, code := a.node(r.Path)
	if code == wire.ErrOK && r.Watch {
		a.watch(r.Path, n, mode)
	}
	return n, code
}

func (a *answer) getData() wire.ErrCode {
	n, code := a.requested(watch.Data)
	if code != wire.ErrOK {
		return code
	}
	a.client.Reads.note(n.Path(), len(n.Data()))
	a.send(appendData(a.reply(4+len(n.Data())+statBytes), n))
	return wire.ErrOK
}

func appendData(frame []byte, n tree.Node) []byte {
	return n.Stat().Append(wire.AppendBuffer(frame, n.Data()))
}

func (a *answer) getChildren() wire.ErrCode {
	n, code := a.requested(watch.Child)
	if code != wire.ErrOK {
		return code
	}
	frame := appendChildren(a.reply(4+24*n.NumChildren()+statBytes), n)
	a.client.Reads.note(n.Path(), childrenBytes(len(frame)-replyHeaderBytes, n))
	if a.header.Type == wire.OpGetChildren2 {
		frame = n.Stat().Append(frame)
	}
	a.send(frame)
	return wire.ErrOK
}

func appendChildren(frame []byte, n tree.Node) []byte {
	frame = wire.AppendInt32(frame, int32(n.NumChildren()))
	n.EachChild(func(name string) { frame = wire.AppendString(frame, name) })
	return frame
}

// childrenBytes is the sum of the lengths of the names of children whose list took bytes.
func childrenBytes(bytes int, n tree.Node) int { return bytes - 4 - 4*n.NumChildren() }

// getACL hides the hashes of digest ids from those who may not administer the node.
func (a *answer) getACL() wire.ErrCode {
	path := a.d.String()
	if a.d.Err() != nil {
		return wire.ErrMarshalling
	}
	n, ok := a.lookup(path)
	switch {
	case !ok:
		return wire.ErrNoNode
	case !a.allowed(n, wire.PermRead|wire.PermAdmin):
		return wire.ErrNoAuth
	}
	acl := n.ACL()
	if !a.allowed(n, wire.PermAdmin) {
		acl = auth.Masked(acl)
	}
	a.send(n.Stat().Append(wire.AppendACLs(a.reply(64+statBytes), acl)))
	return wire.ErrOK
}

// sync gives the path back as it came, null included.
func (a *answer) sync() wire.ErrCode {
	body := a.d.Rest()
	a.d.NullableString()
	if a.d.Err() != nil {
		return wire.ErrMarshalling
	}
	path := body[:len(body)-len(a.d.Rest())]
	a.send(append(a.reply(len(path)), path...))
	return wire.ErrOK
}

// maxMultiReadBytes bounds the answer to a multiRead. One of a megabyte can ask for a list of children of a megabyte tens of
// thousands of times.
var maxMultiReadBytes = 128 << 20

// multiRead answers each part by itself.
func (a *answer) multiRead() wire.ErrCode {
	frame := a.reply(256)
	for {
		var part wire.MultiHeader
		part.Decode(a.d)
		if a.d.Err() != nil {
			return wire.ErrMarshalling
		}
		if part.Done {
			break
		}
		if part.Type != wire.OpGetData && part.Type != wire.OpGetChildren {
			return wire.ErrMarshalling
		}
		r, ok := a.readRequest()
		if !ok {
			return wire.ErrMarshalling
		}
		n, code := a.node(r.Path)
		switch {
		case code != wire.ErrOK:
			frame = wire.AppendInt32(wire.MultiHeader{Type: wire.OpError, Err: code}.Append(frame), int32(code))
		case part.Type == wire.OpGetData:
			a.client.Reads.note(n.Path(), len(n.Data()))
			frame = appendData(wire.MultiHeader{Type: part.Type}.Append(frame), n)
		default:
			frame = wire.MultiHeader{Type: part.Type}.Append(frame)
			before := len(frame)
			frame = appendChildren(frame, n)
			a.client.Reads.note(n.Path(), childrenBytes(len(frame)-before, n))
		}
		if len(frame) > maxMultiReadBytes {
			return wire.ErrMarshalling
		}
	}
	a.send(wire.MultiEnd.Append(frame))
	return wire.ErrOK
}

// getEphemerals lists the asking session's own nodes below a prefix.
func (a *answer) getEphemerals() wire.ErrCode {
	prefix, _ := a.d.NullableString()
	if a.d.Err() != nil {
		return wire.ErrMarshalling
	}
	if strings.TrimFunc(prefix, func(r rune) bool { return r <= ' ' }) == "" { // as String.trim in Java
		prefix = "/"
	}
	var own []string
	a.tree.EachEphemeral(a.client.Session, func(path string) {
		if strings.HasPrefix(path, prefix) {
			own = append(own, path)
		}
	})
	a.send(wire.AppendStrings(a.reply(64), own)) // unsorted, as in Apache ZooKeeper: there may be a million
	return wire.ErrOK
}

func (a *answer) getAllChildrenNumber() wire.ErrCode {
	path := a.d.String()
	if a.d.Err() != nil {
		return wire.ErrMarshalling
	}
	n, code := a.node(path)
	if code != wire.ErrOK {
		return code
	}
	number := n.Descendants()
	if path == "" {
		number++ // the root under its other name
	}
	a.send(wire.AppendInt32(a.reply(4), int32(number)))
	return wire.ErrOK
}

func (a *answer) whoAmI() wire.ErrCode {
	users := a.Policy.Users(a.client.Auth)
	frame := wire.AppendInt32(a.reply(64), int32(len(users)))
	for _, u := range users {
		frame = wire.AppendString(wire.AppendString(frame, u.AuthScheme), u.User)
	}
	a.send(frame)
	return wire.ErrOK
}
