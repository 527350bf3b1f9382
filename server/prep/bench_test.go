package prep_test

import (
	"fmt"
	"testing"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/wire"
)

// BenchmarkManySessionsEnd ends many sessions with a few nodes each before any of the ends is applied, as when a rack of
// clients loses its power.
func BenchmarkManySessionsEnd(b *testing.B) {
	const sessions, nodesEach = 2000, 10
	for b.Loop() {
		b.StopTimer()
		w := newWorld()
		zxid := wire.Zxid(0)
		ask := func(r prep.Request) {
			zxid++
			w.prepare(r, zxid)
		}
		for id := range wire.SessionID(sessions) {
			ask(prep.Request{Session: id + 1, Type: wire.OpCreateSession, Body: wire.AppendInt32(nil, 5000)})
			for i := range nodesEach {
				ask(prep.Request{Session: id + 1, Owner: 1, Type: wire.OpCreate, Body: create(fmt.Sprintf("/%d-%d", id, i), wire.FlagEphemeral)})
			}
		}
		for len(w.inFlight) > 0 {
			if err := w.apply(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for id := range wire.SessionID(sessions) {
			ask(prep.Request{Session: id + 1, Type: wire.OpCloseSession})
		}
	}
}
