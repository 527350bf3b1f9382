package node

import "github.com/zkctl/zkctl/wire"

// Read answers a request that needs nothing but the tree, and registers its watch. It must not run at the same time as
// Step, but any number of Reads may. ok is false if the request has to go through Step: it is no read, it is malformed,
// the client has no session here, or something of it is in flight. The caller reports the sign of life with
// ClientsTouched.
func (n *Node) Read(id ClientID, header wire.RequestHeader, body []byte) (frame []byte, ok bool) {
	c := n.clients[id]
	if c == nil || !c.established || c.closing || len(c.queue) > 0 {
		return nil, false
	}
	switch header.Type {
	case wire.OpExists, wire.OpGetData, wire.OpGetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpPing:
	default:
		return nil, false
	}
	frame, err := n.final.Read(nil, header, body)
	if err != nil {
		return nil, false
	}
	return frame, true
}
