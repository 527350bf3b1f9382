package zab

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// script cuts fuzzed bytes into steps of two bytes, each of which may take data of its own from the rest.
type script struct{ bytes []byte }

func (s *script) next() (op, arg byte, ok bool) {
	if len(s.bytes) < 2 {
		return 0, 0, false
	}
	op, arg = s.bytes[0], s.bytes[1]
	s.bytes = s.bytes[2:]
	return op, arg, true
}

func (s *script) data(n int) []byte {
	n = min(n, len(s.bytes))
	data := s.bytes[:n:n]
	s.bytes = s.bytes[n:]
	return data
}

// zxid is one near those that matter: of the epochs around the present one, or extreme.
func (s *script) zxid(arg byte) wire.Zxid {
	switch {
	case arg == 0xff:
		return -1
	case arg == 0xfe:
		return 1<<63 - 1
	}
	return wire.MakeZxid(wire.Epoch(arg>>5), uint32(arg&0x1f))
}

// nextOnes are what fuzzed reconfigurations lead to; all need more than one server.
var nextOnes = []*quorum.Config{members(1, 2, 3, 4), members(1, 2), members(2, 3), members(1, 2, -3), members(1, 2, 3)}

// reconfigures is added to the type of a packet that is to be one of a reconfiguration.
const reconfigures = 21

// packet is a well-formed one of any type, or one with data of the script.
func (s *script) packet(op, arg byte) wire.QuorumPacket {
	p := wire.QuorumPacket{Type: wire.PacketType(op % 21), Zxid: s.zxid(arg)}
	e, next := reconfig(p.Zxid, nextOnes[int(arg)%len(nextOnes)])
	heir := binary.BigEndian.AppendUint64(nil, uint64(arg%4))
	switch {
	case op&0x40 != 0:
		p.Data = s.data(int(op >> 3))
	case p.Type == wire.PacketCommitAndActivate:
		p.Data = heir
	case p.Type == wire.PacketInformAndActivate:
		p.Data = append(heir, e.Bytes...)
	case op >= reconfigures && p.Type == wire.PacketNewLeader:
		p.Data = next.Text()
	case op >= reconfigures && (p.Type == wire.PacketProposal || p.Type == wire.PacketInform):
		p.Data = e.Bytes
	case p.Type == wire.PacketProposal || p.Type == wire.PacketInform:
		p.Data = entry(p.Zxid).Bytes
	case p.Type == wire.PacketFollowerInfo || p.Type == wire.PacketObserverInfo:
		p.Data = infoData(wire.ServerID(arg % 5))
	case p.Type == wire.PacketAckEpoch:
		p.Data = wire.AppendEpoch(nil, wire.Epoch(int32(arg>>5)-1))
	}
	return p
}

// follow checks the effects of a role: none after it gave up, and what it delivers is in order.
type follow struct {
	t         *testing.T
	delivered wire.Zxid
	gaveUp    bool
}

func (f *follow) saw(e Effect) {
	if f.gaveUp {
		f.t.Fatalf("%T after giving up", e)
	}
	switch e := e.(type) {
	case GiveUp:
		f.gaveUp = true
	case Install:
		f.delivered = e.Zxid
	case Deliver:
		if e.Entry.Header.Zxid <= f.delivered {
			f.t.Fatalf("%v delivered after %v", e.Entry.Header.Zxid, f.delivered)
		}
		f.delivered = e.Entry.Header.Zxid
	}
}

// FuzzLearner: whatever a leader sends, and whenever, a learner delivers in order and leaves, but does not break.
func FuzzLearner(f *testing.F) {
	lead := func(t wire.PacketType, arg byte) []byte { return []byte{byte(t), arg} }
	join := func(steps ...[]byte) (b []byte) {
		for _, s := range steps {
			b = append(b, s...)
		}
		return b
	}
	const epoch = 5 << 5
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketDiff, 1<<5|2), lead(wire.PacketNewLeader, epoch),
		lead(wire.PacketUpToDate, 0xff), lead(wire.PacketProposal, epoch|1), lead(wire.PacketCommit, epoch|1), lead(wire.PacketPing, epoch|1)))
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketSnap, 1<<5|9), []byte{0x80, 0}, lead(wire.PacketProposal, epoch|1),
		lead(wire.PacketNewLeader, epoch), lead(wire.PacketCommit, epoch|1), lead(wire.PacketUpToDate, 0xff), lead(wire.PacketInform, epoch|2)))
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketTrunc, 1<<5|1), []byte{0x81, 1}, lead(wire.PacketNewLeader, epoch)))
	const again = reconfigures
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketDiff, 1<<5|2), lead(again+wire.PacketNewLeader, epoch),
		lead(wire.PacketUpToDate, 0xff), lead(again+wire.PacketProposal, epoch|1), lead(wire.PacketCommitAndActivate, epoch|1)))
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketDiff, 1<<5|2), lead(again+wire.PacketProposal, epoch|1),
		lead(wire.PacketCommitAndActivate, epoch|1), lead(again+wire.PacketNewLeader, epoch), lead(wire.PacketUpToDate, 0xff)))
	f.Add(join(lead(wire.PacketLeaderInfo, epoch), lead(wire.PacketSnap, epoch|1), []byte{0x80, 0}, lead(again+wire.PacketNewLeader, epoch|1),
		lead(wire.PacketNewLeader, epoch), lead(wire.PacketUpToDate, 0xff), lead(wire.PacketInformAndActivate, epoch|2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, observer := range []bool{false, true} {
			cfg := config(3)
			cfg.Reconfig, cfg.Leader = true, 1
			if observer {
				cfg.Members = members(1, 2, -3)
			}
			history := NewHistory(HistoryLimit, z(1, 2), txns(z(1, 1), z(1, 2)))
			l := NewLearner(cfg, 10, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, history, 0)
			check := &follow{t: t, delivered: z(1, 2)}
			now := time.Duration(0)
			s := &script{b}
			l.Connected(0)
			slow := false // the disk answers when the script says so
			var waiting []Effect
			disk := func(e Effect) {
				switch e := e.(type) {
				case SaveEpoch:
					l.EpochSaved(e.Current, e.Epoch)
				case Append:
					l.Logged(e.Entry.Header.Zxid)
				case Truncate:
					check.delivered = e.Zxid
					l.Truncated(NewHistory(HistoryLimit, e.Zxid, nil), nil)
				}
			}
			for {
				for effects := l.Take(nil); len(effects) > 0; effects = l.Take(nil) {
					for _, e := range effects {
						check.saw(e)
						if slow {
							waiting = append(waiting, e)
						} else {
							disk(e)
						}
					}
				}
				op, arg, ok := s.next()
				if !ok || check.gaveUp {
					break
				}
				switch {
				case op < 0x80:
					l.Receive(s.packet(op, arg))
				case op == 0x80:
					l.SnapshotReceived(tree.New(tree.Options{}))
				case op == 0x81:
					slow = arg&1 != 0
					for _, e := range waiting {
						disk(e)
					}
					waiting = nil
				case op == 0x82:
					l.Request(Request{Session: 1, Op: wire.OpCreate, Body: s.data(int(arg))})
				case op == 0x83:
					l.Closed(nil)
				default:
					now += time.Duration(arg) * tick / 8
					l.Tick(now)
				}
			}
		}
	})
}

// FuzzLeader: whatever learners send, and whenever, a leader commits in order, and only what a quorum has logged.
func FuzzLeader(f *testing.F) {
	const epoch = 5 << 5
	to := func(conn byte, t wire.PacketType, arg byte) []byte { return []byte{0x80 | conn, 0, byte(t), arg} }
	join := func(steps ...[]byte) (b []byte) {
		for _, s := range steps {
			b = append(b, s...)
		}
		return b
	}
	f.Add(join(to(2, wire.PacketFollowerInfo, 4<<5|2), to(2, wire.PacketAckEpoch, 1<<5|1), to(2, wire.PacketAck, epoch),
		[]byte{0xa0, 0}, to(2, wire.PacketAck, epoch|1), to(2, wire.PacketPing, 0), to(2, wire.PacketRequest, 0)))
	f.Add(join(to(2, wire.PacketFollowerInfo, 4<<5|2), to(3, wire.PacketFollowerInfo, 1<<5|3), to(3, wire.PacketAckEpoch, 0),
		[]byte{0xa1, 3}, to(3, wire.PacketAck, epoch), []byte{0xa2, 0}))
	for next := range byte(5) {
		f.Add(join(to(2, wire.PacketFollowerInfo, 4<<5|2), to(2, wire.PacketAckEpoch, 1<<5|2), to(2, wire.PacketAck, epoch),
			to(2, wire.PacketAck, epoch), to(3, wire.PacketFollowerInfo, 1<<5|3), to(3, wire.PacketAckEpoch, 1<<5|2), to(3, wire.PacketAck, epoch),
			[]byte{0xa4, next}, []byte{0xa0, 0}, to(2, wire.PacketAck, epoch|1), to(3, wire.PacketAck, epoch|2), to(2, wire.PacketAck, epoch|2),
			[]byte{0xa2, 3}, []byte{0xa0, 0}, to(2, wire.PacketAck, epoch|3)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		history := NewHistory(HistoryLimit, z(1, 2), txns(z(1, 1), z(1, 2)))
		cfg := config(1)
		cfg.Reconfig = true
		l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, history, 0)
		check := &follow{t: t, delivered: z(1, 2)}
		now := time.Duration(0)
		open := make(map[ConnID]bool)
		acked := make(map[wire.Zxid]map[ConnID]bool)
		s := &script{b}
		logged := wire.Zxid(0)
		for {
			for effects := l.Take(nil); len(effects) > 0; effects = l.Take(nil) {
				for _, e := range effects {
					check.saw(e)
					switch e := e.(type) {
					case Send:
						if !open[e.Conn] {
							t.Fatalf("%v to connection %d, which is not open", e.Packet.Type, e.Conn)
						}
					case Close:
						delete(open, e.Conn)
					case SaveEpoch:
						l.EpochSaved(e.Current, e.Epoch)
					case Append:
						logged = e.Entry.Header.Zxid
						l.Logged(logged)
					case Deliver:
						if zxid := e.Entry.Header.Zxid; len(acked[zxid]) == 0 {
							t.Fatalf("%v is committed, but nobody else has it", zxid)
						}
					}
				}
			}
			op, arg, ok := s.next()
			if !ok || check.gaveUp {
				return
			}
			switch {
			case op < 0xa0:
				conn := ConnID(op & 3)
				if !open[conn] {
					open[conn] = true
					l.Accept(conn, "")
				}
				kind, zxid, ok := s.next()
				if !ok {
					return
				}
				p := s.packet(kind, zxid)
				if p.Type == wire.PacketAck && open[conn] {
					for z := range min(p.Zxid.Counter()+1, 64) {
						of := wire.MakeZxid(p.Zxid.Epoch(), z)
						if acked[of] == nil {
							acked[of] = make(map[ConnID]bool)
						}
						acked[of][conn] = true
					}
				}
				l.Receive(conn, p)
			case op == 0xa0:
				if zxid, ok := l.NextZxid(); ok && l.Serving() {
					l.Propose(entry(zxid))
				}
			case op == 0xa4:
				if zxid, ok := l.NextZxid(); ok && l.LastSeen() == l.Members() {
					e, _ := reconfig(zxid, nextOnes[int(arg)%len(nextOnes)])
					l.Propose(e)
				}
			case op == 0xa1:
				if conn := ConnID(arg & 3); open[conn] {
					l.SnapshotSent(conn)
				}
			case op == 0xa2:
				if conn := ConnID(arg & 3); open[conn] {
					delete(open, conn)
					l.Closed(conn)
				}
			case op == 0xa3:
				l.Request(0, Request{Session: 1, Op: wire.OpSync})
			default:
				now += time.Duration(arg) * tick / 8
				l.Tick(now)
			}
		}
	})
}
