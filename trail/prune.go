package trail

import (
	"os"
	"time"
)

// Old are the runs that need not be kept: those that began before a time, and of each ensemble all but the last ones. A zero
// time and last 0 keep all. The last run of an ensemble, with which a resume would go on, and those that go on are kept.
func Old(runs []*Run, before time.Time, last int) (old []*Run) {
	later := map[string]int{} // runs of the ensemble that came later
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		n := later[r.Ensemble]
		later[r.Ensemble]++
		if n > 0 && !r.Running && (r.Time.Before(before) || last > 0 && n >= last) {
			old = append([]*Run{r}, old...)
		}
	}
	return old
}

// Remove deletes the file of a run.
func (r *Run) Remove() error { return os.Remove(r.file) }
