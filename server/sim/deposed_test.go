package sim

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/zab"
)

// deposed runs three voters whose leader is left by its followers without noticing. One client stays with it and syncs
// and reads, another writes through the new leader.
func deposed(seed uint64, unsafe zab.Unsafe) error {
	w := newWorld(seed, Options{Voters: 3, Clients: 2, Quiet: true, Unsafe: unsafe})
	for _, m := range w.machines {
		m.start()
	}
	w.run(1200 * time.Millisecond)
	leader := w.leader()
	if leader == nil {
		return nil
	}
	writer, reader := w.clients[0], w.clients[1]
	writer.reader, reader.reader = false, true
	reader.homes = []*machine{leader}
	for _, m := range w.machines {
		if m != leader {
			writer.homes = append(writer.homes, m)
		}
	}
	writer.begin()
	reader.begin()
	w.run(w.now + 700*time.Millisecond)
	w.orphan(leader)
	w.run(w.now + 2*time.Second)
	return w.failure
}

// TestSyncAtADeposedLeader: it does not answer what is older than what others have been told before.
func TestSyncAtADeposedLeader(t *testing.T) {
	noticed := 0
	for seed := uint64(1); seed <= 50; seed++ {
		if err := deposed(seed, zab.Unsafe{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if deposed(seed, zab.Unsafe{AnswerSyncsAlone: true}) != nil {
			noticed++
		}
	}
	if noticed == 0 {
		t.Error("leaders that answer syncs without a quorum are not noticed")
	}
	t.Logf("%d of 50 seeds notice leaders that answer syncs without a quorum", noticed)
}
