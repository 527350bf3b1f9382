package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const (
	// maxNotificationBytes is the longest vote that Apache ZooKeeper takes.
	maxNotificationBytes = 512 << 10

	minRetry = 100 * time.Millisecond
	maxRetry = 2 * time.Second
	// knockRetry is the least time between two requests to be called: one that comes while the other side is calling
	// makes it begin anew.
	knockRetry = time.Second
)

// link is what this server has with one other: a connection at times, and the newest vote for it. Its goroutine dials
// and writes; each connection has a goroutine that reads. Fields are guarded by the lock of the mesh.
type link struct {
	m          *mesh
	id         wire.ServerID
	member     bool
	configured []string // election addresses, none for strangers
	wake       chan struct{}

	announced []string // election addresses that the server named itself
	sock      net.Conn
	fresh     bool   // nothing has been sent on sock
	waiting   []byte // newest vote that has not been sent
	last      []byte // last vote that has been; the first thing to send on a new connection if nothing waits
	callBack  bool   // the server asked to be called
	cancel    func() // ends an attempt to dial; nil if there is none
	retry     time.Duration
	retryAt   time.Time
}

func (l *link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// adopt takes a connection, whose votes are read from in, in the place of the one before. The lock is held.
func (l *link) adopt(sock net.Conn, in io.Reader) {
	l.drop()
	stranger := !l.member
	if !l.m.p.spawn(func() { l.read(sock, in, stranger) }) {
		l.m.p.close(sock)
		return
	}
	limitUnacknowledged(sock, l.patience())
	l.sock, l.fresh, l.callBack = sock, true, false
	l.retry, l.retryAt = 0, time.Time{}
	if l.cancel != nil {
		l.cancel() // it keeps from writing
	}
	l.m.p.often.Info("connected to election port", "server", int64(l.id), "remote", remote(sock))
	l.notify()
}

// patience is how long the server may not confirm what was sent to it. The lock is held.
func (l *link) patience() time.Duration {
	cfg := l.m.p.cfg
	if len(l.configured) > 1 && cfg.ReachabilityTimeout > 0 {
		return min(cfg.ReachabilityTimeout, cfg.ConnectTimeout)
	}
	return cfg.ConnectTimeout
}

// drop closes the connection. The lock is held.
func (l *link) drop() {
	if l.sock != nil {
		l.m.p.close(l.sock)
		l.sock = nil
	}
}

// lost closes a connection that has failed, unless it has been replaced.
func (l *link) lost(sock net.Conn, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.p.close(sock)
	if l.sock == sock {
		l.sock = nil
		l.m.p.often.Info("lost connection to election port", "server", int64(l.id), "error", err)
		l.notify()
	}
}

// task is what a link has to do next.
type task struct {
	sock  net.Conn
	frame []byte // to write to sock
	dial  bool
	wait  time.Duration // 0 for as long as it takes
	over  bool
}

// next decides what to do.
func (l *link) next() task {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	switch {
	case l.sock != nil:
		frame := l.waiting
		if frame == nil && l.fresh {
			frame = l.last
		}
		l.fresh, l.waiting = false, nil
		if frame != nil {
			l.last = frame
			return task{sock: l.sock, frame: frame}
		}
		return task{}
	case !l.member && !l.callBack:
		delete(l.m.links, l.id)
		return task{over: true}
	case l.waiting == nil && !l.callBack:
		return task{}
	}
	if wait := time.Until(l.retryAt); wait > 0 {
		return task{wait: wait}
	}
	return task{dial: true}
}

func (l *link) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.m.p.ctx.Err() == nil {
		t := l.next()
		switch {
		case t.over:
			return
		case t.frame != nil:
			l.write(t.sock, t.frame)
			continue
		case t.dial:
			l.dial()
			continue
		}
		var retry <-chan time.Time
		if t.wait > 0 {
			timer.Reset(t.wait)
			retry = timer.C
		}
		select {
		case <-l.wake:
		case <-retry:
		case <-l.m.p.ctx.Done():
		}
	}
}

func (l *link) write(sock net.Conn, frame []byte) {
	err := sock.SetWriteDeadline(time.Now().Add(l.m.p.cfg.ConnectTimeout))
	if err == nil {
		_, err = sock.Write(frame)
	}
	if err == nil {
		l.m.p.notificationsSent.Add(1)
		return
	}
	l.m.mu.Lock()
	if l.waiting == nil {
		l.waiting = frame
	}
	l.m.mu.Unlock()
	l.lost(sock, err)
}

// dial opens a connection, or asks a server with a larger id to do so.
func (l *link) dial() {
	m := l.m
	ctx, cancel := context.WithCancel(m.p.ctx)
	defer cancel()
	m.mu.Lock()
	if l.sock != nil {
		m.mu.Unlock()
		return
	}
	l.cancel = cancel
	addresses := l.addresses()
	m.mu.Unlock()
	sock, err := l.connect(ctx, addresses)
	m.mu.Lock()
	defer m.mu.Unlock()
	l.cancel = nil
	switch {
	case err != nil && l.sock != nil: // it called meanwhile
	case err != nil:
		if errors.Is(err, ErrNotAuthenticated) {
			m.p.often.Warn("no connection to election port", "server", int64(l.id), "error", err)
		} else {
			m.p.log.Debug("no connection to election port", "server", int64(l.id), "error", err)
		}
		l.callBack = l.callBack && l.member
		l.backOff(minRetry)
	case l.id > m.p.cfg.Self:
		m.p.hangUp(sock)
		l.callBack = false
		l.backOff(knockRetry)
	default:
		l.adopt(sock, sock)
	}
}

// addresses are where to dial: at those of the configuration at the same time, then at each that the server named itself.
// The lock is held.
func (l *link) addresses() [][]string {
	var list [][]string
	if len(l.configured) > 0 {
		list = append(list, l.configured)
	}
	for _, address := range l.announced {
		if !slices.Contains(l.configured, address) {
			list = append(list, []string{address})
		}
	}
	return list
}

// backOff doubles the time until the next attempt. The lock is held.
func (l *link) backOff(least time.Duration) {
	l.retry = min(max(2*l.retry, least), max(maxRetry, least))
	l.retryAt = time.Now().Add(l.retry + rand.N(l.retry/4+1))
}

// connect dials the election port of the server and greets.
func (l *link) connect(ctx context.Context, addresses [][]string) (net.Conn, error) {
	var failed []error
	for _, together := range addresses {
		sock, err := l.connectTo(ctx, together)
		if err == nil {
			return sock, nil
		}
		if failed = append(failed, err); ctx.Err() != nil {
			break
		}
	}
	if failed == nil {
		return nil, errors.New("it has no address")
	}
	return nil, errors.Join(failed...)
}

func (l *link) connectTo(ctx context.Context, addresses []string) (net.Conn, error) {
	p := l.m.p
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	defer cancel()
	sock, address, err := dialFirst(ctx, &l.m.dialer, addresses)
	if err != nil {
		return nil, err
	}
	if sock, err = p.dialed(ctx, sock, address); err != nil {
		return nil, err
	}
	if !p.track(sock) {
		return nil, net.ErrClosed
	}
	err = sock.SetWriteDeadline(time.Now().Add(p.cfg.ConnectTimeout))
	if err == nil {
		// Apache ZooKeeper refuses a greeting that does not arrive in one piece.
		_, err = sock.Write(p.greeting())
	}
	if err == nil {
		err = p.cfg.SASL.prove(ctx, sock, p.cfg.ConnectTimeout)
	}
	if err != nil {
		p.close(sock)
		return nil, err
	}
	return sock, nil
}

// read hands over the votes of a connection until it ends. A stranger, who may be no server at all, has connected because it
// has a vote.
func (l *link) read(sock net.Conn, in io.Reader, stranger bool) {
	buffered := bufio.NewReaderSize(in, 4<<10)
	if stranger {
		if err := sock.SetReadDeadline(time.Now().Add(l.m.p.cfg.GreetingTimeout)); err != nil {
			l.lost(sock, err)
			return
		}
	}
	for first := true; ; first = false {
		body, err := readNotification(buffered)
		if err == nil && first && stranger {
			err = sock.SetReadDeadline(time.Time{})
		}
		if err != nil {
			l.lost(sock, err)
			return
		}
		l.m.p.notificationsRead.Add(1)
		var n wire.Notification
		if err := n.Unmarshal(body); err != nil {
			if stranger {
				l.lost(sock, fmt.Errorf("vote cannot be read: %w", err))
				return
			}
			l.m.p.often.Warn("vote cannot be read", "server", int64(l.id), "error", err)
			continue
		}
		l.m.p.deliver(node.NotificationReceived{From: l.id, Notification: n})
	}
}

func readNotification(in *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	length := int32(binary.BigEndian.Uint32(head[:]))
	if length < 1 || length > maxNotificationBytes {
		return nil, fmt.Errorf("vote of %d bytes", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	return body, nil
}
