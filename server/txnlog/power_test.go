package txnlog

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/server/vfs/outage"
	"github.com/zkctl/zkctl/wire"
)

// TestPowerLossWithinABatch: whatever sectors of what one sync was to make durable are written, also when there was more
// of it than the writer keeps to itself, it does not look like corruption.
func TestPowerLossWithinABatch(t *testing.T) {
	points, torn := 0, 0
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		disk := outage.New()
		if err := disk.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(disk, "/d", int64(r.IntN(3))*30_000)
		synced, appended := 0, 0
		disk.Before = func(op, _ string) {
			for o := range disk.Outcomes(r, 40) {
				points++
				left, err := disk.After(o).Restart()
				if err != nil {
					t.Fatal(err)
				}
				logs, err := Files(left, "/d")
				if vfs.IsNotExist(err) {
					err = nil
				} else if err != nil {
					t.Fatal(err)
				}
				txns := 0
				if len(logs) > 0 {
					txns, _, err = readFile(t, left, "/d/log.1")
				}
				if errors.Is(err, ErrTorn) {
					torn++
				} else if err != nil && err != io.EOF {
					t.Fatalf("seed %d, before %s with %d txns synced of %d: %v\n%s", seed, op, synced, appended, err, disk.Pending(o))
				}
				if txns < synced || txns > appended {
					t.Fatalf("seed %d: %d txns are read, %d were synced, %d appended", seed, txns, synced, appended)
				}
			}
		}
		for range 3 {
			for range 1 + r.IntN(5) {
				appended++
				size := r.IntN(500)
				if r.IntN(4) == 0 {
					size = 30_000 + r.IntN(60_000)
				}
				if err := w.Append(wire.Zxid(appended), entry(r, wire.Zxid(appended), size).Bytes); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			synced = appended
		}
	}
	if torn < 500 {
		t.Errorf("of %d losses of power only %d left a torn log", points, torn)
	}
	t.Logf("%d losses of power, %d torn logs", points, torn)
}
