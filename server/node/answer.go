package node

import (
	"github.com/zkctl/zkctl/server/final"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// view is the client as package final knows it.
func (c *client) view() final.Client {
	return final.Client{Watcher: watch.Watcher(c.id), Session: c.session, Auth: c.auth, Reads: c.reads}
}

// answer answers a request that needs no txn, and tells whether the connection is to be closed.
func (n *Node) answer(c *client, r *request) (closes bool) {
	switch {
	case r.refusal != wire.ErrOK:
		n.note(SendFrame{Client: c.id, Frame: wire.ReplyHeader{
			Xid: r.header.Xid, Zxid: n.tree.LastZxid(), Err: r.refusal,
		}.Append(nil)})
		return false
	case r.header.Type == wire.OpCloseSession && c.local:
		n.local.Remove(c.session)
		n.note(SendFrame{Client: c.id, Frame: wire.ReplyHeader{Xid: r.header.Xid, Zxid: n.tree.LastZxid()}.Append(nil)})
		return true
	}
	n.work.Read++
	closes = n.final.Answer(n.tree, c.view(), r.header, r.body, func(frame []byte) {
		n.note(SendFrame{Client: c.id, Frame: frame})
	})
	c.reads.Flush()
	return closes
}

// Read answers a request that needs nothing but the tree, and registers its watch. It must not run at the same time as
// Step, but any number of Reads may. The caller must have had the answers to all earlier requests of the client, since the
// node does not know of those that it was not given yet. ok is false if the request has to go through Step: it is no
// read, the client has no session here or is barred, or something of it is in flight. The caller reports the sign of life with
// ClientsTouched.
func (n *Node) Read(id ClientID, header wire.RequestHeader, body []byte) (frame []byte, ok bool) {
	if !final.IsRead(header.Type) {
		return nil, false
	}
	c := n.clients[id]
	if c == nil || !c.established || c.closing || c.barred || len(c.queue) > 0 || n.throttles() {
		return nil, false
	}
	n.final.Answer(n.tree, c.view(), header, body, func(f []byte) { frame = f })
	return frame, true
}
