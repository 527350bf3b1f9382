//go:build diff

package diff

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// speech turns the frames of one implementation into lines of text that are compared. This file is the only place where
// the two are made alike. Replaced are:
//
//   - session ids, by the order in which the sessions were opened: they contain the clock;
//   - passwords, by their length, since they are made from session ids; that they are right shows when a session is resumed;
//   - times of transactions, by "ok" if all stats of one server give one zxid one time, near now;
//   - what has the order of a hash table in Apache ZooKeeper, by its sorted self: children, the ephemerals of a session,
//     the events of a session's end, the ids of a connection in whoAmI and where "auth" stood in an access list;
//   - the zxids of events, by "now" if there is none (-1, before 3.9) or it is one of the step;
//   - zxids behind one that only one side used up, for a known reason;
//   - the epoch of an ensemble, by its distance from the first one seen: elections may have taken several;
//   - ports in the text of the configuration.
//
// Everything else has to be equal, down to the last byte of every frame.
type speech struct {
	sessions map[wire.SessionID]int
	times    map[wire.Zxid]int64
	epoch    wire.Epoch // first seen
	seen     bool       // some zxid was
	last     wire.Zxid  // newest in a reply
	before   wire.Zxid  // last when the step began
	// skipped are zxids that only this side used up, each later one counts as lower by one (see difference.zxid).
	skipped []wire.Zxid
}

func newSpeech() *speech {
	return &speech{sessions: make(map[wire.SessionID]int), times: make(map[wire.Zxid]int64)}
}

func (s *speech) session(id wire.SessionID) string {
	if id == 0 {
		return "none"
	}
	if n, ok := s.sessions[id]; ok {
		return fmt.Sprint("#", n)
	}
	return "unknown " + id.String()
}

// zxid notes the first epoch, and gives zxids relative to it.
func (s *speech) zxid(z wire.Zxid) string {
	if z <= 0 {
		return fmt.Sprint(int64(z))
	}
	if !s.seen {
		s.epoch, s.seen = z.Epoch(), true
	}
	extra := sort.Search(len(s.skipped), func(i int) bool { return s.skipped[i] > z })
	return (z - wire.MakeZxid(s.epoch, 0) - wire.Zxid(extra)).String()
}

// clock says whether a transaction happened when it seems to have.
func (s *speech) clock(z wire.Zxid, millis int64) string {
	if z == 0 {
		if millis == 0 {
			return "never"
		}
		return "startup" // only /zookeeper/config, by each server's own clock
	}
	at, known := s.times[z]
	switch age := time.Since(time.UnixMilli(millis)); {
	case known && at != millis:
		return fmt.Sprintf("%+d ms", millis-at)
	case age > time.Hour || age < -time.Minute:
		return fmt.Sprint("off by ", age)
	}
	s.times[z] = millis
	return "ok"
}

func (s *speech) stat(d *wire.Decoder) string {
	var st wire.Stat
	st.Decode(d)
	return fmt.Sprintf("stat{c=%s m=%s p=%s ctime=%s mtime=%s version=%d cversion=%d aversion=%d owner=%s length=%d children=%d}",
		s.zxid(st.Czxid), s.zxid(st.Mzxid), s.zxid(st.Pzxid), s.clock(st.Czxid, st.Ctime), s.clock(st.Mzxid, st.Mtime),
		st.Version, st.Cversion, st.Aversion, s.session(wire.SessionID(st.EphemeralOwner)), st.DataLength, st.NumChildren)
}

// line is the text of one frame with what the generator learns from it.
type line struct {
	text  string
	event bool // a watch event
	kind  wire.EventType
	path  string // of an event, or created
	err   wire.ErrCode
	zxid  wire.Zxid
	frame []byte
	op    wire.OpCode
}

// reply is the text of a frame that is not the first of its connection; op is that of the request that waits.
func (s *speech) reply(frame []byte, op wire.OpCode) line {
	d := wire.NewDecoder(frame)
	h := wire.ReplyHeader{Xid: d.Int32(), Zxid: wire.Zxid(d.Int64()), Err: wire.ErrCode(d.Int32())}
	if d.Err() != nil {
		return line{text: fmt.Sprintf("short frame % x", frame)}
	}
	if h.Xid == wire.XidWatch && len(frame) > 16 {
		if l, ok := s.event(h, frame[16:]); ok {
			return l
		}
	}
	l := line{err: h.Err, zxid: h.Zxid, frame: frame, op: op}
	s.last = max(s.last, h.Zxid)
	body := ""
	if h.Err == wire.ErrOK {
		body, l.path = s.body(d, op)
	}
	if d.Err() != nil {
		body = fmt.Sprintf(" not a reply to %v: % x", op, frame[16:])
	} else if len(d.Rest()) > 0 {
		body += fmt.Sprintf(" and behind it % x", d.Rest())
	}
	l.text = fmt.Sprintf("reply xid=%d zxid=%s err=%d%s", h.Xid, s.zxid(h.Zxid), h.Err, body)
	return l
}

// opNone is no operation: the reply has no body.
const opNone wire.OpCode = -1000

func (s *speech) event(h wire.ReplyHeader, body []byte) (line, bool) {
	d := wire.NewDecoder(body)
	kind, state, path := wire.EventType(d.Int32()), d.Int32(), d.String()
	if d.Err() != nil || len(d.Rest()) > 0 || h.Err != wire.ErrOK {
		return line{}, false
	}
	when := s.zxid(h.Zxid)
	if h.Zxid == -1 || h.Zxid > s.before || h.Zxid == s.last {
		when = "now"
	}
	return line{text: fmt.Sprintf("event zxid=%s type=%d state=%d path=%+q", when, kind, state, path), event: true, kind: kind, path: path}, true
}

// body reads the response to op, and returns its text and the path that was created, if any.
func (s *speech) body(d *wire.Decoder, op wire.OpCode) (text, path string) {
	switch op {
	case wire.OpCreate:
		path = d.String()
		return fmt.Sprintf(" path=%+q", path), path
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		path = d.String()
		return fmt.Sprintf(" path=%+q %s", path, s.stat(d)), path
	case wire.OpSync:
		return fmt.Sprintf(" path=%+q", d.String()), ""
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		return " " + s.stat(d), ""
	case wire.OpGetData, wire.OpReconfig:
		return " " + data(d) + " " + s.stat(d), ""
	case wire.OpGetACL:
		return " " + acls(d) + " " + s.stat(d), ""
	case wire.OpGetChildren, wire.OpGetEphemerals:
		return " " + names(d), ""
	case wire.OpGetChildren2:
		return " " + names(d) + " " + s.stat(d), ""
	case wire.OpGetAllChildrenNumber:
		return fmt.Sprint(" number=", d.Int32()), ""
	case wire.OpAddWatch:
		return fmt.Sprint(" err=", d.Int32()), ""
	case wire.OpSASL:
		return " " + data(d), ""
	case wire.OpWhoAmI:
		n, null := d.Count(8)
		ids := make([]string, 0, n)
		for range n {
			ids = append(ids, fmt.Sprintf("%q:%q", d.String(), d.String()))
		}
		slices.Sort(ids)
		return fmt.Sprintf(" null=%v %v", null, ids), ""
	case wire.OpMulti, wire.OpMultiRead:
		return s.multi(d)
	}
	return "", ""
}

func (s *speech) multi(d *wire.Decoder) (text, path string) {
	for d.Err() == nil {
		var h wire.MultiHeader
		h.Decode(d)
		text += fmt.Sprintf(" {type=%d done=%v err=%d", h.Type, h.Done, h.Err)
		if h.Done {
			return text + "}", path
		}
		if h.Type == wire.OpError {
			text += fmt.Sprint(" err=", d.Int32())
		} else {
			body, created := s.body(d, h.Type)
			text += body
			path = max(path, created)
		}
		text += "}"
	}
	return text, path
}

var ports = regexp.MustCompile(`:\d+:\d+:participant`)

func data(d *wire.Decoder) string {
	b := d.Buffer()
	if b == nil {
		return "data=null"
	}
	text := fmt.Sprintf("data=%q", b)
	if len(b) > 300 {
		text = fmt.Sprintf("data=%d bytes %q…%q", len(b), b[:10], b[len(b)-10:])
	}
	return ports.ReplaceAllString(text, ":PORT:PORT:participant")
}

func names(d *wire.Decoder) string {
	n, null := d.Count(4)
	list := make([]string, 0, n)
	for range n {
		list = append(list, fmt.Sprintf("%q", d.String()))
	}
	slices.Sort(list)
	return fmt.Sprintf("null=%v [%s]", null, strings.Join(list, " "))
}

func acls(d *wire.Decoder) string {
	n, null := d.Count(12)
	list := make([]string, 0, n)
	for range n {
		list = append(list, fmt.Sprintf("%d:%q:%q", d.Int32(), d.String(), d.String()))
	}
	for from := 0; from < len(list); { // runs of what may have been one entry for "auth"
		perms, _, _ := strings.Cut(list[from], ":")
		to := from
		for to < len(list) && strings.HasPrefix(list[to], perms+`:"digest":`) {
			to++
		}
		slices.Sort(list[from:to])
		from = max(to, from+1)
	}
	return fmt.Sprintf("null=%v acl%v", null, list)
}

// connected is the text of the first frame of a connection.
func (s *speech) connected(frame []byte, c *conn) line {
	var r wire.ConnectResponse
	if err := r.Unmarshal(frame); err != nil {
		return line{text: fmt.Sprintf("not a ConnectResponse: % x", frame)}
	}
	rest := len(frame) - len(r.Append(nil))
	if _, known := s.sessions[r.SessionID]; !known && r.SessionID != 0 {
		s.sessions[r.SessionID] = len(s.sessions) + 1
	}
	c.session, c.passwd = r.SessionID, r.Passwd
	return line{text: fmt.Sprintf("connected version=%d timeout=%d session=%s passwd of %d null=%v zero=%v readOnly=%v present=%v rest=%d",
		r.ProtocolVersion, r.TimeOut, s.session(r.SessionID), len(r.Passwd), r.Passwd == nil, allZero(r.Passwd), r.ReadOnly, r.HasReadOnly, rest)}
}

func allZero(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) }
