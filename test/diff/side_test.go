//go:build diff

package diff

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// side is one of the two implementations with the connections to it.
type side struct {
	name  string
	addrs []string // of slot 0, 1, … in turn
	// fence is asked for behind everything else: its answer is the sign that all before has arrived. It is ping, or sync
	// where the server of one connection may lag behind that of another.
	fence wire.RequestHeader
	speech
	conns [slots]*conn
	past  [slots]*conn // the last connection with a session that was closed
	// lies, if not nil, changes frames before they are compared, to see the comparison fail.
	lies func(op wire.OpCode, frame []byte) []byte
}

// fenceXid is an xid that no request has.
const fenceXid = 0x7e57

func newSide(name string, addrs []string) *side {
	fence := wire.RequestHeader{Xid: wire.XidPing, Type: wire.OpPing}
	if len(addrs) > 1 {
		fence = wire.RequestHeader{Xid: fenceXid, Type: wire.OpSync}
	}
	return &side{name: name, addrs: addrs, fence: fence, speech: *newSpeech()}
}

func (s *side) fenceFrame() []byte {
	var body []byte
	if s.fence.Type == wire.OpSync {
		body = wire.AppendString(nil, "/")
	}
	return framed(nil, s.fence, body)
}

// start does what the step says, and waits for no answer.
func (s *side) start(st step) error {
	s.before = s.last
	c := s.conns[st.slot]
	switch {
	case st.connect != nil:
		return s.connect(st)
	case c == nil:
	case st.request != nil:
		body := st.body
		if zxid, ok := s.front(st, c); ok {
			body = slices.Clone(body)
			binary.BigEndian.PutUint64(body, uint64(zxid))
		}
		frame := framed(nil, *st.request, body)
		for _, r := range st.more {
			frame = framed(frame, r.RequestHeader, r.body)
		}
		if !st.ends && !st.bye {
			frame = append(frame, s.fenceFrame()...)
		}
		c.write(frame)
	case st.bytes != nil:
		c.write(st.bytes)
	default:
		s.hangUp(st.slot)
	}
	return nil
}

// front is the zxid in front of the body of a request, if it is not there already.
func (s *side) front(st step, c *conn) (wire.Zxid, bool) {
	switch {
	case st.since:
		return c.resumed, true
	case st.zxids != nil && s.name == "zkserver":
		return st.zxids[0], true
	case st.zxids != nil:
		return st.zxids[1], true
	}
	return 0, false
}

func (s *side) hangUp(slot int) {
	c := s.conns[slot]
	c.tcp.Close()
	s.conns[slot] = nil
	if c.session != 0 {
		s.past[slot] = c
	}
}

// connect opens a connection and sends the first frame.
func (s *side) connect(st step) error {
	addr := s.addrs[st.slot%len(s.addrs)]
	r := *st.connect
	if st.from >= 0 {
		of := s.conns[st.from]
		if of == nil {
			of = s.past[st.from]
		}
		if of != nil {
			r.SessionID, r.Passwd, r.LastZxidSeen = of.session, append([]byte{}, of.passwd...), of.seen
			if err := s.reach(addr, of.seen); err != nil {
				return err
			}
		}
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	c.resumed = r.LastZxidSeen
	if st.spoil && len(r.Passwd) > 0 {
		r.Passwd[0] ^= 0xff
	}
	if st.ahead {
		r.LastZxidSeen = s.last + 1
	}
	frame := append(r.Append(nil), st.tail...)
	frame = frame[:len(frame)-st.cut]
	if old := s.conns[st.slot]; old != nil {
		old.tcp.Close()
	}
	s.conns[st.slot] = c
	frame = connectFrame(frame)
	for _, r := range st.more {
		frame = framed(frame, r.RequestHeader, r.body)
	}
	c.write(frame)
	return nil
}

// reach waits until the server of an ensemble has applied what a client has seen: it would refuse the client before.
func (s *side) reach(addr string, seen wire.Zxid) error {
	if len(s.addrs) == 1 {
		return nil
	}
	return ensemble.Until(patience, fmt.Sprintf("%v at %s", seen, addr), func() bool {
		answer, _ := ensemble.Ask(addr, "srvr")
		_, text, _ := strings.Cut(answer, "Zxid: 0x")
		text, _, _ = strings.Cut(text, "\n")
		at, err := strconv.ParseUint(text, 16, 64)
		return err == nil && wire.Zxid(at) >= seen
	})
}

func connectFrame(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// finish reads what comes of the step on its own connection.
func (s *side) finish(st step) ([]line, error) {
	c := s.conns[st.slot]
	switch {
	case c == nil:
		return nil, nil
	case st.connect != nil:
		frame, err := c.read()
		if frame == nil || err != nil {
			s.hangUp(st.slot)
			return []line{{text: "closed"}}, err
		}
		first := s.connected(frame, c)
		if c.session != 0 && !st.bye {
			c.write(s.fenceFrame())
		}
		rest, err := s.read(st.slot, st.ops(), 0)
		return append([]line{first}, rest...), err
	case st.bytes != nil:
		return s.read(st.slot, nil, 0)
	}
	ops, own := st.ops(), 0
	op := ops[0]
	if op == wire.OpPing && op == s.fence.Type { // its answer has no xid of its own
		own = 1
	}
	if !st.ends {
		return s.read(st.slot, ops, own)
	}
	lines, err := s.read(st.slot, ops, untilReply)
	if err != nil || s.conns[st.slot] == nil {
		return lines, err
	}
	if code := lines[len(lines)-1].err; op != wire.OpCloseSession && code != wire.ErrUnimplemented && code != wire.ErrAuthFailed {
		c.write(s.fenceFrame()) // else the connection has to end without it
	}
	rest, err := s.read(st.slot, nil, 0)
	return append(lines, rest...), err
}

// hear reads what has come to a connection on which nothing was asked.
func (s *side) hear(slot int) ([]line, error) { return s.read(slot, nil, 0) }

// untilReply ends reading at the first frame that is no event.
const untilReply = -1

// read reads the frames of a connection, of which the replies are to requests of these types, up to the answer to a fence,
// or to its end. The answers to skip requests look like those to a fence.
func (s *side) read(slot int, ops []wire.OpCode, skip int) (lines []line, err error) {
	c := s.conns[slot]
	op := opNone
	deadline := time.Now().Add(patience)
	for {
		frame, err := c.read()
		if err != nil {
			return lines, err
		}
		if frame == nil {
			s.hangUp(slot)
			return append(lines, line{text: "closed"}), nil
		}
		if len(ops) > 0 {
			op = ops[0]
		}
		isFence := len(frame) >= 4 && int32(binary.BigEndian.Uint32(frame)) == s.fence.Xid
		if s.lies != nil && !isFence {
			frame = s.lies(op, frame)
		}
		l := s.reply(frame, op)
		c.seen = max(c.seen, l.zxid)
		if !l.event && len(ops) > 1 {
			ops = ops[1:]
		}
		if isFence && skip == 0 && l.zxid < s.last && len(s.addrs) > 1 {
			if time.Now().After(deadline) {
				return lines, fmt.Errorf("still at %v, not %v", l.zxid, s.last)
			}
			// The leader of Apache ZooKeeper answers a sync at once, and may be the last to apply what it committed.
			c.write(s.fenceFrame())
			continue
		}
		switch {
		case isFence && skip == 0:
			return append(lines, s.reply(frame, s.fence.Type)), nil
		case isFence && skip > 0:
			skip--
		}
		lines = append(lines, l)
		if skip == untilReply && !l.event {
			return lines, nil
		}
	}
}

// begin makes the first txn of an epoch, one that fails, through a follower. Before it the leader of Apache ZooKeeper is at
// another zxid than its followers, which with local sessions would be seen.
func (s *side) begin(t *testing.T) {
	c, err := dial(s.addrs[0])
	must(t, err)
	defer c.tcp.Close()
	c.write(connectFrame(connection().Append(nil)))
	first, err := c.read()
	must(t, err)
	s.connected(first, c)
	for i, r := range []struct {
		op wire.OpCode
		b  body
	}{{wire.OpDelete, pathVersion("/none", -1)}, {wire.OpCloseSession, nil}} {
		c.write(framed(nil, wire.RequestHeader{Xid: int32(i + 1), Type: r.op}, r.b))
		answer, err := c.read()
		must(t, err)
		if answer == nil {
			t.Fatalf("%s ended the connection at %v", s.name, r.op)
		}
		s.reply(answer, r.op)
	}
}

// stir pings every server now and then in a session of its own, until the test ends. In an ensemble of Apache ZooKeeper
// 3.8.0 it happens that a read is answered only when the next request comes (CommitProcessor).
func (s *side) stir(t *testing.T) {
	for _, addr := range s.addrs {
		c, err := dial(addr)
		must(t, err)
		c.write(connectFrame(connection().Append(nil)))
		first, err := c.read()
		must(t, err)
		s.connected(first, c)
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		go func() {
			defer c.tcp.Close()
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					c.write(framed(nil, wire.RequestHeader{Xid: wire.XidPing, Type: wire.OpPing}, nil))
					if answer, err := c.read(); answer == nil || err != nil {
						return
					}
				}
			}
		}()
	}
}
