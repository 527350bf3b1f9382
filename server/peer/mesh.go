package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const (
	// maxGreetings is how many connections may be about to say who they are.
	maxGreetings = 128
	// maxStrangers is how many servers that are no members may be connected: those that are about to become members
	// ask who leads.
	maxStrangers = 32
	// maxAnnounced is how many of the addresses that a server names are tried.
	maxAnnounced = 3
)

// mesh is the election port and the connections between election ports. Of each pair of servers the one with the
// larger id opens the connection; the other one may only ask for it, by a connection that is closed at once.
type mesh struct {
	p        *Peer
	dialer   net.Dialer
	listener net.ListenConfig

	wake chan struct{}

	mu sync.Mutex
	// doors are the listeners by address; running tells that they are served.
	doors   map[string]net.Listener
	running bool
	links   map[wire.ServerID]*link
	// greetings is the number of connections in greet.
	greetings int
	ownID     bool // somebody came with our id
}

func newMesh(p *Peer) *mesh {
	m := &mesh{
		p: p, wake: make(chan struct{}, 1), doors: make(map[string]net.Listener), links: make(map[wire.ServerID]*link),
	}
	keepAlive := net.KeepAliveConfig{Enable: p.cfg.KeepAlive}
	m.dialer = net.Dialer{KeepAlive: -1, KeepAliveConfig: keepAlive}
	m.listener = net.ListenConfig{KeepAlive: -1, KeepAliveConfig: keepAlive}
	return m
}

// listen binds the election port, of several addresses at least one; run goes on trying with the others.
func (m *mesh) listen() error {
	for try := 1; ; try++ {
		err := m.bind()
		switch {
		case err == nil || m.p.ctx.Err() != nil:
			return err
		case m.p.cfg.BindRetries == 0 || try >= m.p.cfg.BindRetries && m.isOpen():
			m.p.often.Warn("election port cannot be opened yet", "error", err)
			return nil // run goes on trying
		case try >= m.p.cfg.BindRetries:
			return err
		}
		if !m.p.pause(time.Second) {
			return err
		}
	}
}

// bind binds the addresses that are not open yet.
func (m *mesh) bind() error {
	var failed []error
	for _, address := range m.closed() {
		ln, err := m.listener.Listen(m.p.ctx, "tcp", address)
		switch {
		case err != nil:
			failed = append(failed, bindError("election", address, err))
		case !m.p.track(ln):
			return errors.New("election port: already ended")
		case m.open(ln, address):
			m.p.log.Info("election port is open", "address", ln.Addr().String())
		}
	}
	return errors.Join(failed...)
}

// addresses are where to listen.
func (m *mesh) addresses() []string { return m.p.listenAddresses(m.p.listed().ElectionAddresses()) }

// closed are those of the addresses that are not open.
func (m *mesh) closed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(m.addresses(), func(address string) bool { return m.doors[address] != nil })
}

func (m *mesh) isOpen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.doors) > 0
}

// open takes a listener as that of an address, if it is one that is wanted.
func (m *mesh) open(ln net.Listener, address string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.addresses(), address) || m.doors[address] != nil {
		m.p.close(ln)
		return false
	}
	m.doors[address] = ln
	if m.running {
		m.p.spawn(func() { m.serve(ln, address) })
	}
	return true
}

// move closes the election port at addresses that it has no more, and opens it at the others.
func (m *mesh) move() {
	m.mu.Lock()
	defer m.mu.Unlock()
	wanted := m.addresses()
	for address, ln := range m.doors {
		if !slices.Contains(wanted, address) {
			m.p.close(ln)
			delete(m.doors, address)
		}
	}
	m.notify()
}

func (m *mesh) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// bindError says what to do about a port that cannot be bound.
func bindError(which, address string, err error) error {
	remedy := "check the server's own line in zoo.cfg"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "stop the program that uses it, or change the server's line in zoo.cfg on every member"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "the address is not one of this host: correct the server's line, or set quorumListenOnAllIPs=true"
	case errors.Is(err, syscall.EACCES):
		remedy = "ports below 1024 need a privilege: choose a higher one"
	}
	return fmt.Errorf("open %s port %s: %w (%s)", which, address, err, remedy)
}

// run accepts connections until the end, and opens what is not open.
func (m *mesh) run() {
	m.mu.Lock()
	m.running = true
	for address, ln := range m.doors {
		m.p.spawn(func() { m.serve(ln, address) })
	}
	m.mu.Unlock()
	for m.p.ctx.Err() == nil {
		var again <-chan time.Time
		if len(m.closed()) > 0 {
			if err := m.listen(); err != nil {
				m.p.log.Error("election port is closed", "error", err)
			}
			again = time.After(time.Second)
		}
		select {
		case <-m.wake:
		case <-again:
		case <-m.p.ctx.Done():
		}
	}
}

// serve accepts connections at an address until it is closed.
func (m *mesh) serve(ln net.Listener, address string) {
	err := accept(m.p, ln, m.take)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doors[address] == ln && m.p.ctx.Err() == nil { // nobody has closed it
		m.p.close(ln)
		delete(m.doors, address)
		m.p.log.Error("election port has closed", "error", err)
		m.notify()
	}
}

// accept hands over connections until the listener is closed.
func accept(p *Peer, ln net.Listener, take func(net.Conn)) error {
	for {
		sock, err := ln.Accept()
		switch {
		case err == nil:
			if p.track(sock) {
				take(sock)
			}
		case errors.Is(err, net.ErrClosed):
			return err
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS),
			errors.Is(err, syscall.ENOMEM):
			p.log.Warn("connection cannot be accepted", "address", ln.Addr().String(), "error", err)
			if !p.pause(100 * time.Millisecond) {
				return err
			}
		case errors.Is(err, syscall.ECONNABORTED):
		default:
			return err
		}
	}
}

// take begins to greet an accepted connection.
func (m *mesh) take(sock net.Conn) {
	m.mu.Lock()
	full := m.greetings >= maxGreetings
	if !full {
		m.greetings++
	}
	m.mu.Unlock()
	if full {
		m.p.often.Warn("too many connections wait on the election port", "remote", remote(sock))
		m.p.close(sock)
		return
	}
	greet := func() {
		ready, ok := m.p.accepted(sock, time.Now().Add(m.p.cfg.GreetingTimeout))
		var g greeting
		var in io.Reader
		var err error
		if ok {
			g, in, err = m.greet(ready)
		}
		m.mu.Lock()
		m.greetings--
		m.mu.Unlock()
		switch {
		case !ok:
		case err != nil:
			m.p.refused("election", ready, err)
			m.p.close(ready)
		default:
			m.welcome(ready, in, g)
		}
	}
	if !m.p.spawn(greet) {
		m.p.close(sock)
	}
}

// greet reads who has connected, and lets it authenticate itself. Votes are to be read from in.
func (m *mesh) greet(sock net.Conn) (g greeting, in io.Reader, err error) {
	if err := sock.SetDeadline(time.Now().Add(m.p.cfg.GreetingTimeout)); err != nil {
		return g, nil, err
	}
	if g, err = readGreeting(sock); err != nil {
		return g, nil, err
	}
	if _, member := m.p.members.find(g.id); g.bare && g.id > maxBareID && !member {
		return g, nil, fmt.Errorf("server id %d", g.id)
	}
	if in, err = m.p.cfg.SASL.admit(sock); err != nil {
		return g, nil, err
	}
	return g, in, sock.SetDeadline(time.Time{})
}

// welcome decides what becomes of a connection from this server.
func (m *mesh) welcome(sock net.Conn, in io.Reader, g greeting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.id == m.p.cfg.Self {
		if !m.ownID {
			m.p.often.Warn("another server has the id of this one", "server", int64(g.id), "remote", remote(sock))
		}
		m.ownID = true
		m.p.close(sock)
		return
	}
	l := m.link(g.id)
	if l == nil {
		m.p.often.Warn("too many servers that are no members", "server", int64(g.id), "remote", remote(sock))
		m.p.close(sock)
		return
	}
	if g.id > m.p.cfg.Self {
		l.adopt(sock, in)
		return
	}
	l.announced = g.addresses[:min(len(g.addresses), maxAnnounced)]
	l.drop()
	m.p.close(sock)
	l.callBack, l.retryAt = true, time.Time{}
	l.notify()
}

// link returns the link to a server; nil if it is one stranger too many. The lock is held.
func (m *mesh) link(id wire.ServerID) *link {
	if l := m.links[id]; l != nil {
		return l
	}
	listed, member := m.p.members.find(id)
	if !member {
		strangers := 0
		for _, l := range m.links {
			if !l.member {
				strangers++
			}
		}
		if strangers >= maxStrangers {
			return nil
		}
	}
	l := &link{m: m, id: id, member: member, wake: make(chan struct{}, 1)}
	if member {
		l.configured = listed.ElectionAddresses()
	}
	if !m.p.spawn(l.run) {
		return nil
	}
	m.links[id] = l
	return l
}

func (m *mesh) connected() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, l := range m.links {
		if l.sock != nil {
			n++
		}
	}
	return n
}

// SendNotification sends a vote. One that still waits for the same server is replaced.
func (p *Peer) SendNotification(e node.SendNotification) {
	if e.To == p.cfg.Self {
		return
	}
	frame := e.Notification.Append(make([]byte, 4, 64+len(e.Notification.Config)))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	p.mesh.send(e.To, frame)
}

func (m *mesh) send(to wire.ServerID, frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, member := m.p.members.find(to); !member && m.links[to] == nil {
		return // it asked and is gone
	}
	if l := m.link(to); l != nil {
		l.waiting = frame
		l.notify()
	}
}

func remote(sock net.Conn) string { return sock.RemoteAddr().String() }
