package preflight

import (
	"os"
	"slices"
	"time"
)

// diskTimes are how long syncs took: half of them at most median, 99 of 100 at most high.
type diskTimes struct {
	syncs               int
	median, high, worst time.Duration
}

// measureDisk appends to a file in dir and syncs it, as the txn log does, for a while. The file is removed.
func measureDisk(dir string, limit time.Duration) (diskTimes, error) {
	f, err := os.CreateTemp(dir, ".zkctl-probe-*")
	if err != nil {
		return diskTimes{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 1024)
	var took []time.Duration
	for end := time.Now().Add(limit); len(took) == 0 || time.Now().Before(end); {
		if _, err := f.Write(block); err != nil {
			return diskTimes{}, err
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			return diskTimes{}, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	n := len(took)
	return diskTimes{n, took[n/2], took[(99*n+99)/100-1], took[n-1]}, nil
}
