package chaos

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// sessionTimeout is what sessions ask for.
const sessionTimeout = 4 * time.Second

// Fate is what a client knows of a request.
type Fate string

const (
	Done    Fate = "ok"      // answered with success
	Refused Fate = "refused" // answered with an error: it had no effect
	Unsent  Fate = "unsent"  // it never left, or came from a session that had ended or moved: it had no effect
	Unknown Fate = "unknown" // it may have had its effect, or have it later
)

// Reply is the outcome of a request.
type Reply struct {
	Fate Fate
	Code wire.ErrCode
	Zxid wire.Zxid
	Body []byte
}

// Session is a client's session, one request at a time, written for this test: it keeps the zxids of replies, which other
// clients hide, and says exactly whether a request was sent. It is used by one goroutine.
type Session struct {
	servers []string
	next    int // the server to try
	conn    net.Conn
	xid     int32
	id      wire.SessionID
	passwd  []byte
	order   order
	// patience is how long a reply may take.
	patience time.Duration
	// Moves counts the connections after the first one.
	Moves int
	// OnEnd is told that the session with this name has ended, with the time at which it was last known to live, and the
	// time when the end had happened for sure, which is forever if nobody knows.
	OnEnd func(name string, alive, gone int64)
	clock func() int64
	alive int64
	spoil func(string) // reports a broken promise
}

// newSession prepares a session; the first request opens it.
func newSession(servers []string, first int, now func() int64, spoil func(string)) *Session {
	return &Session{servers: servers, patience: sessionTimeout * 2 / 3, next: first, clock: now, spoil: spoil, OnEnd: func(string, int64, int64) {}}
}

// Name is the session's id, "" while there is none.
func (s *Session) Name() string {
	if s.id == 0 {
		return ""
	}
	return s.id.String()
}

// Open makes sure that the session has a connection, and tells whether it has.
func (s *Session) Open() bool {
	for range s.servers {
		if s.conn != nil {
			return true
		}
		server := s.servers[s.next%len(s.servers)]
		s.next++
		if err := s.connect(server); err != nil {
			s.hangUp()
		}
	}
	return s.conn != nil
}

func (s *Session) connect(server string) error {
	conn, err := net.DialTimeout("tcp", server, 500*time.Millisecond)
	if err != nil {
		return err
	}
	s.conn = conn
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	began := s.clock()
	q := wire.ConnectRequest{LastZxidSeen: s.order.seen, TimeOut: int32(sessionTimeout.Milliseconds()),
		SessionID: s.id, Passwd: s.passwd, HasReadOnly: true}
	if s.passwd == nil {
		q.Passwd = make([]byte, 16)
	}
	if err := s.send(q.Append(nil)); err != nil {
		return err
	}
	b, err := s.frame()
	if err != nil {
		return err
	}
	var p wire.ConnectResponse
	if err := p.Unmarshal(b); err != nil {
		return err
	}
	if p.TimeOut <= 0 {
		// The leader has decided; the transaction that ends the session may still be on its way, and a next leader may
		// have to decide again.
		s.ended(forever)
		return fmt.Errorf("the session has expired")
	}
	if s.id != 0 {
		s.Moves++
	}
	s.id, s.passwd, s.alive = p.SessionID, p.Passwd, began
	return nil
}

func (s *Session) ended(gone int64) {
	if s.id != 0 {
		s.OnEnd(s.Name(), s.alive, gone)
	}
	s.id, s.passwd, s.order = 0, nil, order{lax: s.order.lax}
}

// Do sends a request and waits for its reply.
func (s *Session) Do(op wire.OpCode, body []byte) Reply {
	if !s.Open() {
		return Reply{Fate: Unsent}
	}
	began := s.clock()
	s.xid++
	_ = s.conn.SetDeadline(time.Now().Add(s.patience))
	if err := s.send(append(wire.RequestHeader{Xid: s.xid, Type: op}.Append(nil), body...)); err != nil {
		s.hangUp()
		return Reply{Fate: Unknown}
	}
	b, err := s.frame()
	if err != nil {
		s.hangUp()
		return Reply{Fate: Unknown}
	}
	var h wire.ReplyHeader
	d := wire.NewDecoder(b)
	if h.Decode(d); d.Err() != nil || h.Xid != s.xid {
		s.spoil(fmt.Sprintf("session %s: request %d was answered by %+v", s.Name(), s.xid, h))
		s.hangUp()
		return Reply{Fate: Unknown}
	}
	if problem := s.order.reply(h.Zxid); problem != "" {
		s.spoil(fmt.Sprintf("session %s, %v at %s: %s", s.Name(), op, s.conn.RemoteAddr(), problem))
	}
	reply := Reply{Fate: Done, Code: h.Err, Zxid: h.Zxid, Body: d.Rest()}
	switch h.Err {
	case wire.ErrOK:
	case wire.ErrSessionExpired, wire.ErrSessionMoved:
		reply.Fate = Unsent
		s.hangUp() // the next connection shows what is true
		return reply
	case wire.ErrNoNode, wire.ErrNodeExists, wire.ErrBadVersion, wire.ErrNotEmpty,
		wire.ErrNewConfigNoQuorum, wire.ErrReconfigInProgress, wire.ErrBadArguments:
		reply.Fate = Refused
	default:
		s.spoil(fmt.Sprintf("session %s: %v was answered with error %d", s.Name(), op, h.Err))
		reply.Fate = Unknown
	}
	s.alive = began
	return reply
}

// Close ends the session.
func (s *Session) Close() {
	if s.id == 0 {
		return
	}
	r := s.Do(wire.OpCloseSession, nil)
	gone := int64(forever)
	if r.Fate == Done {
		gone = s.clock()
	}
	s.hangUp()
	s.ended(gone)
}

func (s *Session) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *Session) send(b []byte) error {
	_, err := s.conn.Write(append(wire.AppendInt32(nil, int32(len(b))), b...))
	return err
}

func (s *Session) frame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 4<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.conn, b)
	return b, err
}
