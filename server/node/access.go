package node

import (
	"net/netip"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/wire"
)

// ClientRefused says that a client did not prove who it is or did not try to, though it has to. Reason is for the log and
// has no secret in it.
type ClientRefused struct {
	Remote  netip.Addr
	Session wire.SessionID
	Reason  string
}

func (ClientRefused) effect() {}

// conn is the client as package auth knows it.
func (n *Node) conn(c *client) auth.Conn {
	return auth.Conn{Remote: c.remote, Certificates: c.certificates, Data: func(path string) []byte {
		found, ok := n.tree.Lookup(path)
		if !ok {
			return nil
		}
		return found.Data()
	}}
}

// identify gives a client its ids.
func (n *Node) identify(c *client, ids []wire.ID) {
	c.auth, c.barred = ids, !n.policy.Admits(ids)
}

// authenticate adds ids at once, so that the requests behind have them, and answers in turn.
func (n *Node) authenticate(c *client, r request) {
	var packet wire.AuthPacket
	if err := packet.Unmarshal(r.body); err != nil {
		n.closeClient(c)
		return
	}
	ids, verdict := n.policy.Add(c.auth, n.conn(c), packet.Scheme, packet.Auth)
	if idBytes(ids) > maxIDBytes {
		ids, verdict = c.auth, auth.Failed
	}
	if verdict == auth.Elsewhere {
		n.refused(c, "it means another ensemble")
		n.closeClient(c)
		return
	}
	n.identify(c, ids)
	reply := wire.ReplyHeader{Xid: r.header.Xid}
	if verdict != auth.Accepted {
		reply.Err = wire.ErrAuthFailed
		if n.policy.Knows(packet.Scheme) {
			n.refused(c, "authentication of a known scheme failed")
		} else {
			n.refused(c, "authentication of an unknown scheme")
		}
	}
	n.answerAtOnce(c, r, reply.Append(nil), reply.Err != wire.ErrOK)
}

// negotiate takes a token of SASL at once, so that the requests behind have the ids, and answers in turn.
func (n *Node) negotiate(c *client, r request) {
	d := wire.NewDecoder(r.body)
	token := d.Buffer()
	if d.Err() != nil || token == nil {
		n.closeClient(c)
		return
	}
	a := n.policy.Respond(&c.exchange, c.auth, token)
	if a.Reason != nil {
		n.refused(c, a.Reason.Error())
	}
	n.identify(c, a.IDs)
	reply := wire.ReplyHeader{Xid: r.header.Xid, Err: a.Err}
	n.answerAtOnce(c, r, wire.AppendBuffer(reply.Append(nil), a.Token), a.Err != wire.ErrOK)
}

// bar answers a request of a client that has not authenticated itself, though it has to, and closes the connection
// (AuthenticationHelper.enforceAuthentication).
func (n *Node) bar(c *client, r request) {
	n.refused(c, "it has not authenticated itself by an enforced scheme")
	reply := wire.ReplyHeader{Xid: r.header.Xid, Err: wire.ErrSessionClosedRequireSASL}
	n.answerAtOnce(c, r, reply.Append(nil), true)
}

func (n *Node) refused(c *client, reason string) {
	n.note(ClientRefused{Remote: c.remote, Session: c.session, Reason: reason})
}

// answerAtOnce has the answer to a request, which is sent when those before it have been answered.
func (n *Node) answerAtOnce(c *client, r request, reply []byte, closes bool) {
	r.reply, r.waits, r.closes = reply, answered, closes
	c.closing = closes
	n.enqueue(c, r)
	n.advance(c)
}

// maxIDBytes bounds the ids of a client: all of them go to the leader with each write.
const maxIDBytes = 128 << 10

func idBytes(ids []wire.ID) int {
	sum := 0
	for _, id := range ids {
		sum += 8 + len(id.Scheme) + len(id.ID)
	}
	return sum
}
