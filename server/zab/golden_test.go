package zab

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// message is a packet that was recorded between Apache ZooKeeper 3.8.0 servers. In testdata a line that begins with @
// names connection, direction and packet; the lines behind it are its bytes.
type message struct {
	fromLeader bool
	packet     wire.QuorumPacket
	raw        []byte
}

// recorded reads one connection of a recording.
func recorded(t *testing.T, name string, conn int) []message {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var list []message
	var head, data string
	flush := func() {
		raw, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(head, fmt.Sprintf("conn=%d ", conn)) {
			p, err := wire.ReadQuorumPacket(bytes.NewReader(raw), 1<<20)
			if err != nil {
				t.Fatalf("%s: %v", head, err)
			}
			list = append(list, message{strings.Contains(head, " leader"), p, raw})
		}
		data = ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "@"):
			flush()
			head = line
		default:
			data += line
		}
	}
	flush()
	return list
}

// conversation is a recording with what both sides had before it.
type conversation struct {
	file       string
	conn       int
	epoch      wire.Epoch    // of the leader
	leaderLast wire.Zxid     // end of its history
	restart    bool          // the leader serves already
	leaderID   wire.ServerID // and voters are 1 to 3
}

var conversations = []conversation{
	{file: "sync-initial.txt", conn: 1, epoch: 1, leaderLast: 0, leaderID: 3},
	{file: "sync-new-epoch.txt", conn: 1, epoch: 2, leaderLast: 0x1000001c3, leaderID: 2},
	{file: "sync-diff.txt", conn: 1, epoch: 1, leaderLast: 0x1000000a1, leaderID: 3, restart: true},
	{file: "sync-trunc.txt", conn: 1, epoch: 2, leaderLast: 0x1000001c3, leaderID: 2, restart: true},
	// An observer that has been removed follows, without a vote.
	{file: "reconfig-observer.txt", conn: 4, epoch: 3, leaderLast: 0x300000012, leaderID: 3, restart: true},
}

// learnerState reads from a recording what the learner had on disk.
func learnerDurable(list []message) (wire.ServerID, Durable, int64) {
	var d Durable
	info, _ := wire.ParseLearnerInfo(list[0].packet.Data)
	d.AcceptedEpoch = list[0].packet.Zxid.Epoch()
	d.LastZxid = list[2].packet.Zxid
	d.CurrentEpoch, _ = wire.ParseEpoch(list[2].packet.Data)
	if d.CurrentEpoch == -1 {
		d.CurrentEpoch = d.AcceptedEpoch
	}
	return info.ServerID, d, info.ConfigVersion
}

func threeMembers(t *testing.T, version int64) *quorum.Config {
	t.Helper()
	c, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, nil, version)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// isEarlyAck tells that a packet is one that only 3.8.0 sends: the ACK of a committed txn of the synchronisation.
func isEarlyAck(p wire.QuorumPacket, last wire.Zxid) bool {
	return p.Type == wire.PacketAck && p.Zxid.Counter() != 0 && p.Zxid <= last
}

// TestLearnerAnswersAsRecorded gives a learner what Apache ZooKeeper's leader sent, and compares its answers with those of
// Apache ZooKeeper's follower, byte by byte.
func TestLearnerAnswersAsRecorded(t *testing.T) {
	for _, c := range conversations {
		t.Run(c.file, func(t *testing.T) {
			list := recorded(t, c.file, c.conn)
			id, own, version := learnerDurable(list)
			cfg := Config{Self: id, Members: threeMembers(t, version), TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5}
			l := NewLearner(cfg, 1, own, NewHistory(HistoryLimit, own.LastZxid, nil), 0)
			l.Connected(0)
			var got, want [][]byte
			act := func() {
				for effects := l.Take(nil); len(effects) > 0; effects = l.Take(nil) {
					for _, e := range effects {
						switch e := e.(type) {
						case Send:
							got = append(got, e.Packet.Append(nil))
						case SaveEpoch:
							l.EpochSaved(e.Current, e.Epoch)
						case Append:
							l.Logged(e.Entry.Header.Zxid)
						case Truncate:
							l.Truncated(NewHistory(HistoryLimit, e.Zxid, nil), nil)
						case GiveUp:
							t.Fatal(e.Reason)
						}
					}
				}
			}
			act()
			for _, m := range list {
				if m.fromLeader {
					l.Receive(m.packet)
					act()
				} else if !isEarlyAck(m.packet, c.leaderLast) {
					want = append(want, m.raw)
				}
			}
			compare(t, got, want)
		})
	}
}

// TestLeaderAnswersAsRecorded gives a leader what Apache ZooKeeper's follower sent, and compares.
func TestLeaderAnswersAsRecorded(t *testing.T) {
	for _, c := range conversations {
		t.Run(c.file, func(t *testing.T) {
			list := recorded(t, c.file, c.conn)
			id, learner, version := learnerDurable(list)
			l, broadcast := leaderOf(t, c, list, version)
			l.Accept(1, "")
			var got, want [][]byte
			act := func() {
				for _, e := range l.Take(nil) {
					switch e := e.(type) {
					case Send:
						if e.Conn == 1 && e.Packet.Type != wire.PacketPing {
							got = append(got, e.Packet.Append(nil))
						}
					case SaveEpoch:
						l.EpochSaved(e.Current, e.Epoch)
					case Append:
						l.Logged(e.Entry.Header.Zxid)
					case Close, GiveUp:
						t.Fatalf("%+v", e)
					}
				}
			}
			for _, m := range list {
				switch {
				case !m.fromLeader:
					l.Receive(1, m.packet)
				case m.packet.Type == wire.PacketPing:
					continue
				default:
					if e, ok := broadcast[m.packet.Zxid]; ok && m.packet.Type == wire.PacketProposal {
						l.Propose(e)
					}
					want = append(want, m.raw)
				}
				act()
				act()
			}
			compare(t, got, want)
			if id == c.leaderID || learner.LastZxid < 0 {
				t.Error("the recording is not of a learner")
			}
		})
	}
}

// leaderOf brings a leader to where it was when the recording began, with the help of the third member. broadcast are the
// txns that it proposes later.
func leaderOf(t *testing.T, c conversation, list []message, version int64) (*Leader, map[wire.Zxid]txn.Entry) {
	t.Helper()
	var text []byte
	known := make(map[wire.Zxid]txn.Entry)
	var missed []txn.Entry
	for _, m := range list {
		switch m.packet.Type {
		case wire.PacketNewLeader:
			text = m.packet.Data
		case wire.PacketProposal:
			e, err := txn.Decode(m.packet.Data)
			if err != nil {
				t.Fatal(err)
			}
			if e.Header.Zxid <= c.leaderLast {
				missed = append(missed, e)
			} else {
				known[e.Header.Zxid] = e
			}
		}
	}
	members, err := quorum.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if version == 0 {
		members = members.WithVersion(0) // the leader raises it
	}
	cfg := Config{
		Self: c.leaderID, Members: members, Reconfig: true,
		TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5,
	}
	own := Durable{AcceptedEpoch: c.epoch - 1, CurrentEpoch: c.epoch - 1, LastZxid: c.leaderLast}
	l := NewLeader(cfg, own, NewHistory(HistoryLimit, c.leaderLast, missed), 0)
	if !c.restart {
		return l, known
	}
	other := wire.ServerID(1)
	for other == c.leaderID || other == serverID(list) {
		other++
	}
	l.Accept(2, "")
	l.Receive(2, packet(wire.PacketFollowerInfo, z(c.epoch-1, 0), infoWith(other, members.Version())...))
	l.EpochSaved(false, c.epoch)
	l.Receive(2, packet(wire.PacketAckEpoch, c.leaderLast, wire.AppendEpoch(nil, c.epoch-1)...))
	l.Receive(2, packet(wire.PacketAck, z(c.epoch, 0)))
	l.EpochSaved(true, c.epoch)
	if !l.Serving() {
		t.Fatal("the leader does not lead")
	}
	l.Take(nil)
	return l, known
}

func serverID(list []message) wire.ServerID {
	info, _ := wire.ParseLearnerInfo(list[0].packet.Data)
	return info.ServerID
}

func compare(t *testing.T, got, want [][]byte) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("packet %d is missing: %x", i, want[i])
		case i >= len(want):
			t.Fatalf("packet %d was not recorded: %x", i, got[i])
		case !bytes.Equal(got[i], want[i]):
			t.Fatalf("packet %d:\n got  %x\n want %x", i, got[i], want[i])
		}
	}
}

// TestRevalidateAsRecorded: a session moves to another follower.
func TestRevalidateAsRecorded(t *testing.T) {
	list := recorded(t, "revalidate.txt", 1)
	asked, err := parseRevalidate(list[0].packet.Data)
	if err != nil {
		t.Fatal(err)
	}
	if asked.Timeout != 100*time.Second || asked.Session != 0x100006c0d130000 {
		t.Errorf("%+v", asked)
	}
	if got := revalidateRequest(asked.Session, asked.Timeout); !bytes.Equal(got, list[0].packet.Data) {
		t.Errorf("request: %x", got)
	}
	session, valid, err := parseRevalidateAnswer(list[1].packet.Data)
	if err != nil || !valid || session != asked.Session {
		t.Errorf("answer: %v %v %v", session, valid, err)
	}
	if got := revalidateAnswer(session, valid); !bytes.Equal(got, list[1].packet.Data) {
		t.Errorf("answer: %x", got)
	}
	for _, m := range list {
		if m.packet.Type != wire.PacketPing || m.fromLeader {
			continue
		}
		touches, err := parseTouches(m.packet.Data)
		if err != nil {
			t.Fatal(err)
		}
		table := make(map[wire.SessionID]time.Duration)
		for _, touch := range touches {
			table[touch.Session] = touch.Timeout
		}
		if got := touchTable(table); !bytes.Equal(got, m.packet.Data) {
			t.Errorf("PING: %x", got)
		}
	}
}
