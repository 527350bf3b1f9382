package election_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/election"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/wire"
)

// part is a server of a recorded election that this package plays; the others say what was recorded.
type part struct {
	file  string
	self  wire.ServerID
	last  wire.Zxid
	epoch wire.Epoch
	// led tells that the server had found a leader before, with these votes of others, in this epoch.
	led   []recorded.Vote
	since wire.Epoch

	leader wire.ServerID
	state  wire.ServerState
}

func says(from, to wire.ServerID, leader wire.ServerID, zxid wire.Zxid, epoch wire.Epoch) recorded.Vote {
	return recorded.Vote{From: from, To: to, Notification: wire.Notification{
		Leader: leader, Zxid: zxid, ElectionEpoch: 1, PeerEpoch: epoch, Version: 2,
	}}
}

var parts = map[string]part{
	"three empty servers, 1":    {file: "election-start.txt", self: 1, leader: 3, state: wire.Following},
	"three empty servers, 2":    {file: "election-start.txt", self: 2, leader: 3, state: wire.Following},
	"three empty servers, 3":    {file: "election-start.txt", self: 3, leader: 3, state: wire.Leading},
	"two of three, 1":           {file: "election-leader-loss.txt", self: 1, last: 0x1000001c3, epoch: 1, leader: 2, state: wire.Following},
	"two of three, 2":           {file: "election-leader-loss.txt", self: 2, last: 0x1000001c3, epoch: 1, leader: 2, state: wire.Leading},
	"follower returns, 1":       {file: "election-rejoin.txt", self: 1, last: 0x10000009b, epoch: 1, leader: 3, state: wire.Following},
	"follower returns, 2":       {file: "election-rejoin.txt", self: 2, led: []recorded.Vote{says(3, 2, 3, 0, 0)}, since: 1, leader: 3, state: wire.Following},
	"follower returns, 3":       {file: "election-rejoin.txt", self: 3, led: []recorded.Vote{says(2, 3, 3, 0, 0)}, since: 1, leader: 3, state: wire.Leading},
	"leader of old returns, 3":  {file: "election-old-leader.txt", self: 3, last: 0x1000001c6, epoch: 1, leader: 2, state: wire.Following},
	"an observer joins, 4":      {file: "reconfig-election.txt", self: 4, leader: 3, state: wire.Observing},
	"leader of old returns, 1":  {file: "election-old-leader.txt", self: 1, last: 0x1000001c3, epoch: 1, led: []recorded.Vote{says(2, 1, 2, 0x1000001c3, 1)}, since: 2, leader: 2, state: wire.Following},
	"leader of old returns, 2 ": {file: "election-old-leader.txt", self: 2, last: 0x1000001c3, epoch: 1, led: []recorded.Vote{says(1, 2, 2, 0x1000001c3, 1)}, since: 2, leader: 2, state: wire.Leading},
}

// TestElectionsAsRecorded plays each server of the recorded elections in turn. What that server sent to another, it must
// send as well, byte by byte and in this order; it may say more, since of the votes that wait for a connection only the
// newest is sent, and the last one is sent again on a new connection.
func TestElectionsAsRecorded(t *testing.T) {
	for name, p := range parts {
		t.Run(name, func(t *testing.T) {
			votes := recorded.Votes(t, p.file)
			members, err := quorum.Parse(configOf(votes, p.self))
			if err != nil {
				t.Fatal(err)
			}
			e := election.New(election.Config{Self: p.self, Members: members})
			sent := make(map[wire.ServerID][][]byte)
			take := func() {
				for _, m := range e.Take() {
					sent[m.To] = append(sent[m.To], m.Notification.Append(nil))
				}
			}
			e.Look(0, p.last, p.epoch)
			take()
			for _, v := range p.led {
				e.Step(0, v.From, v.Notification)
			}
			if p.led != nil {
				e.Tick(time.Second)
				e.Established(p.since)
			}
			take()
			for _, v := range votes {
				if v.To == p.self {
					e.Step(time.Second, v.From, v.Notification)
					take()
				}
			}
			e.Tick(2 * time.Second)

			if v, ok := e.Decision(); !ok || v.Leader != p.leader {
				t.Errorf("decided %t on %v, want %v", ok, v.Leader, p.leader)
			}
			for _, v := range votes {
				if v.From != p.self {
					continue
				}
				// The text changed while the recorded servers ran, as they could be reconfigured.
				v.Notification.Config = configOf(votes, p.self)
				want := v.Notification.Append(nil)
				i := index(sent[v.To], want)
				if i < 0 {
					t.Fatalf("%+v was not sent to %d", v.Notification, v.To)
				}
				sent[v.To] = sent[v.To][i:]
			}
			// What it tells those who ask from now on shows what it has become.
			e.Take()
			other := p.self%3 + 1
			e.Step(time.Hour, other, wire.Notification{State: wire.Looking})
			if m := e.Take(); len(m) != 1 || m[0].To != other || m[0].Notification.State != p.state {
				t.Errorf("answers %+v", m)
			}
		})
	}
}

func index(list [][]byte, want []byte) int {
	for i, b := range list {
		if bytes.Equal(b, want) {
			return i
		}
	}
	return -1
}

// configOf is the text that a server's votes carried.
func configOf(votes []recorded.Vote, self wire.ServerID) []byte {
	for _, v := range votes {
		if v.From == self && strings.Contains(string(v.Notification.Config), "version=") {
			return v.Notification.Config
		}
	}
	return nil
}
