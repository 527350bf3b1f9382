package sim

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// link is a connection between a client and a machine. Frames arrive in order in both directions.
type link struct {
	client *simClient
	m      *machine
	life   int
	id     node.ClientID

	toServer, toClient time.Duration // when the last frame arrives
	serverGone         bool          // the server has been told, or has closed it
	clientGone         bool
	over               bool // the server knew, when the connection was begun, that the session had ended
}

// connect opens a connection and sends the ConnectRequest. If the machine is down the client learns of it.
func (c *simClient) connect(m *machine, request wire.ConnectRequest) *link {
	w := c.w
	w.nextClient++
	l := &link{client: c, m: m, life: m.life, id: w.nextClient}
	if !m.up() || c.blocked[m.index] {
		l.serverGone = true
		w.after(w.between(time.Millisecond, 20*time.Millisecond), l.lost)
		return l
	}
	end, ended := w.checks.owners.ended(request.SessionID)
	l.over = ended && m.serving && m.node.Tree().LastZxid() >= end
	m.links[l.id] = l
	l.send(node.ClientConnected{Client: l.id, Request: request, Remote: netip.AddrFrom4([4]byte{10, 0, 0, byte(c.index)})})
	return l
}

func (l *link) delay() time.Duration {
	return l.client.w.between(50*time.Microsecond, 2*time.Millisecond)
}

// send gives an input of the client to the machine after a while.
func (l *link) send(in node.Input) {
	w := l.client.w
	l.toServer = max(l.toServer, w.now+l.delay())
	w.after(l.toServer-w.now, func() {
		if l.serverGone || l.m.life != l.life {
			return
		}
		if request, ok := in.(node.ClientRequest); ok && w.rand.IntN(2) == 0 && !l.m.paused {
			// Half of the reads take the way past the loop.
			if frame, ok := l.m.node.Read(l.id, request.Header, request.Body); ok {
				l.reply(frame)
				l.m.step(node.ClientsTouched{Clients: []node.ClientID{l.id}})
				return
			}
		}
		l.m.step(in)
	})
}

// reply takes a frame to the client.
func (l *link) reply(frame []byte) {
	w := l.client.w
	l.toClient = max(l.toClient, w.now+l.delay())
	w.after(l.toClient-w.now, func() {
		if !l.clientGone {
			l.client.receive(l, frame)
		}
	})
}

// hangUp is the server's end of the connection.
func (l *link) hangUp() {
	w := l.client.w
	l.serverGone = true
	delete(l.m.links, l.id)
	l.toClient = max(l.toClient, w.now+l.delay())
	w.after(l.toClient-w.now, l.lost)
}

// lost tells the client that the connection is gone.
func (l *link) lost() {
	if !l.clientGone {
		l.clientGone = true
		l.client.disconnected(l)
	}
}

// drop ends the connection from outside, with what was on its way.
func (l *link) drop() {
	w := l.client.w
	if !l.serverGone {
		l.serverGone = true
		life := l.life
		w.after(l.delay(), func() {
			if l.m.life == life && l.m.up() && l.m.links[l.id] == l {
				delete(l.m.links, l.id)
				l.m.step(node.ClientClosed{Client: l.id})
			}
		})
	}
	if !l.clientGone {
		w.after(l.delay(), l.lost)
	}
}

// leave is the client's end of the connection.
func (l *link) leave() {
	l.clientGone = true
	l.drop()
}

func sortedLinks(links map[node.ClientID]*link) []*link {
	return slices.SortedFunc(maps.Values(links), func(a, b *link) int { return cmp.Compare(a.id, b.id) })
}
