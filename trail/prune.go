package trail

import (
	"os"
	"slices"
	"time"
)

// resumable are the verbs that go on where they stopped when they are called again.
var resumable = []string{"bootstrap", "apply", "rolling-restart", "start", "stop", "restart", "reset"}

// Resumable reports whether a resume looks at the run: the last such one of an ensemble is what it goes on with, unless that
// ended well. One that was refused, before it did anything, is not what is to be gone on with.
func (r *Run) Resumable() bool {
	didNothing := r.End != nil && r.End.ExitCode != 0 && r.End.Changes == 0
	return !didNothing && slices.Contains(resumable, r.Verb)
}

// Old are the runs that need not be kept: those that began before a time, and of each ensemble all but the last ones. A zero
// time and last 0 keep all. The last run of an ensemble, the last one at which a resume looks, and those that go on are kept.
func Old(runs []*Run, before time.Time, last int) (old []*Run) {
	later := map[string]int{} // runs of the ensemble that came later
	resumes := map[string]bool{}
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		n := later[r.Ensemble]
		later[r.Ensemble]++
		if r.Resumable() && !resumes[r.Ensemble] {
			resumes[r.Ensemble] = true
			continue
		}
		if n > 0 && !r.Running && (r.Time.Before(before) || last > 0 && n >= last) {
			old = append([]*Run{r}, old...)
		}
	}
	return old
}

// Remove deletes the file of a run.
func (r *Run) Remove() error { return os.Remove(r.file) }
