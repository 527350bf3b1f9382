package final

import (
	"testing"

	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/wire"
)

// FuzzAnswer: whatever a client sends, it gets one reply at most, last of all, and nothing breaks.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"client-session.txt", "client-errors.txt", "client-watches.txt"} {
		for _, m := range recorded.Conversation(f, name) {
			if !m.FromServer && len(m.Frame) >= 8 {
				f.Add(int32(m.Frame[7]), m.Frame[8:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, op int32, body []byte) {
		s := newStage(t)
		replies := 0
		s.server.Answer(s.tree, s.client, wire.RequestHeader{Xid: 3, Type: wire.OpCode(op)}, body, func(frame []byte) {
			if xid := wire.NewDecoder(frame).Int32(); xid != wire.XidWatch {
				replies++
			} else if replies > 0 {
				t.Error("an event behind the reply")
			}
		})
		if replies != 1 {
			t.Errorf("%d replies", replies)
		}
	})
}
