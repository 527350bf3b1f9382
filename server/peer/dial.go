package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

const (
	// A leader opens its port at about the time at which the others come to know that it leads.
	minRedial = 10 * time.Millisecond
	// refusedWait is how long a host may refuse connections until it is clear that its server does not lead: it may have
	// been elected without knowing, or have come to know better; longer if attempts are rare (Apache ZooKeeper: 5 attempts).
	// closedWait is that of a server that has said that it leads: it has closed its port again, or is just opening it.
	refusedWait = time.Second
	closedWait  = 500 * time.Millisecond
)

// DialLeader opens a connection to the quorum port of a server, and goes on trying until the time is over, or until it
// has been refused for a while.
func (p *Peer) DialLeader(e node.DialLeader) {
	c := newConn(p, e.Conn)
	c.dialed = true
	ctx, cancel := context.WithTimeout(p.ctx, e.Timeout)
	c.cancel = cancel
	if !p.register(c) || !p.spawn(func() { c.dial(ctx, e) }) {
		cancel()
	}
}

func (c *conn) dial(ctx context.Context, e node.DialLeader) {
	defer c.cancel()
	sock, err := c.connect(ctx, e)
	if err != nil {
		c.fail(fmt.Errorf("connect to leader %d: %w", e.Leader, err))
		c.p.gone(c)
		return
	}
	if !c.p.track(sock) {
		return
	}
	if !c.start(sock) {
		c.fail(nil)
		c.p.gone(c)
		return
	}
	c.p.log.Info("connected to leader", "conn", uint64(c.id), "leader", int64(e.Leader), "remote", c.remote)
	c.serve(bufio.NewReaderSize(c, readBytes), []node.Input{node.LeaderConnected{Conn: c.id}})
}

func (c *conn) connect(ctx context.Context, e node.DialLeader) (net.Conn, error) {
	leader, ok := c.p.members.find(e.Leader)
	if !ok {
		return nil, errors.New("it is no member")
	}
	wait := min(minRedial, c.p.cfg.LeaderRedial)
	patience := max(refusedWait, 4*c.p.cfg.LeaderRedial)
	if e.Leads {
		patience = closedWait
	}
	other := time.Now() // last seen anything but a refusal
	for {
		addresses := leader.QuorumAddresses()
		if e.ObserverPort {
			addresses = c.p.observerAddresses(addresses)
		}
		sock, err := c.connectOnce(ctx, addresses)
		if err == nil || errors.Is(err, ErrNotAuthenticated) {
			return sock, err
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			other = time.Now()
		} else if time.Since(other) > patience {
			return nil, err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, c.p.cfg.LeaderRedial)
		case <-ctx.Done():
			return nil, err
		}
	}
}

// connectOnce tries for a while only, in which a name may come to mean another address.
func (c *conn) connectOnce(ctx context.Context, addresses []string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.p.cfg.syncLimit(), time.Second))
	defer cancel()
	var dialer net.Dialer
	sock, address, err := dialFirst(ctx, &dialer, addresses)
	if err != nil {
		return nil, err
	}
	if c.p.cfg.FollowerDelay {
		collectPackets(sock)
	}
	if sock, err = c.p.dialed(ctx, sock, address); err != nil {
		return nil, err
	}
	if err := c.p.cfg.SASL.prove(ctx, sock, c.p.cfg.syncLimit()); err != nil {
		sock.Close()
		return nil, err
	}
	return sock, nil
}

// dialFirst dials addresses of one server at the same time and returns the first connection, and its address.
func dialFirst(ctx context.Context, dialer *net.Dialer, addresses []string) (net.Conn, string, error) {
	if len(addresses) == 1 {
		sock, err := dialer.DialContext(ctx, "tcp", addresses[0])
		return sock, addresses[0], err
	}
	type dialed struct {
		sock    net.Conn
		address string
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed)
	for _, address := range addresses {
		go func() {
			sock, err := dialer.DialContext(ctx, "tcp", address)
			results <- dialed{sock, address, err}
		}()
	}
	var first dialed
	var failed []error
	for range addresses {
		switch got := <-results; {
		case got.err != nil:
			failed = append(failed, got.err)
		case first.sock != nil:
			got.sock.Close()
		default:
			first = got
			cancel() // the others end at once
		}
	}
	if first.sock == nil {
		return nil, "", errors.Join(failed...)
	}
	return first.sock, first.address, nil
}

// collectPackets lets TCP wait for more before it sends what does not fill a segment.
func collectPackets(sock net.Conn) {
	if tcp, ok := sock.(interface{ SetNoDelay(bool) error }); ok {
		_ = tcp.SetNoDelay(false) // the connection works as well without it
	}
}
