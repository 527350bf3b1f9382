package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/server/vfs"
)

var errPower = errors.New("the power is off")

// seeds is how many random runs a test makes; ZKCTL_STORE_SEEDS says otherwise.
func seeds(t *testing.T, usual uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("ZKCTL_STORE_SEEDS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return max(1, usual/5)
	}
	return usual
}

// changes are the operations between which a loss of power makes a difference.
func changes(op string) bool {
	switch op {
	case "read", "list", "open", "append", "close", "mkdir":
		return false
	}
	return true
}

// fault makes the operation that comes after some others fail, and, if the power is off, all later ones.
type fault struct {
	after int
	off   bool
	err   error
	count func(op string) bool

	hit string
}

func (f *fault) fail(op, name string) error {
	switch {
	case f.hit != "" && f.off:
		return f.err
	case f.hit != "" || !f.count(op):
		return nil
	case f.after > 0:
		f.after--
		return nil
	}
	f.hit = op + " " + name
	return f.err
}

// life runs a model until the fault hits, or for some steps.
func (m *model) life(f *fault, steps int) error {
	m.fs.Fail = f.fail
	err := m.open()
	for range steps {
		if err != nil {
			break
		}
		err = m.step()
	}
	m.fs.Fail = nil
	return err
}

// TestCrash ends random runs at each of their operations, several times in a row, also while starting: the process is
// killed, which spares what is in the memory of the machine, or the power is lost. What was synced is there afterwards,
// nothing is there that was not written, and the server always starts.
func TestCrash(t *testing.T) {
	points := 0
	for seed := range seeds(t, 12) {
		for after := 0; ; after += 1 + int(seed)%7 {
			m := newModel(seed)
			f := &fault{after: after, off: true, err: errPower, count: changes}
			err := m.life(f, 60)
			if f.hit == "" && err == nil {
				break
			}
			points++
			for range 4 {
				if err := expect(err, f.err); err != nil {
					t.Fatalf("seed %d, operation %d: %v\n%s", seed, after, err, strings.Join(m.steps, "\n"))
				}
				m.log("%v at %s", f.err, f.hit)
				if f.err == errPower {
					m.fs.Crash(m.rand)
				}
				f = &fault{after: m.rand.IntN(30), off: true, err: errPower, count: changes}
				if m.rand.IntN(2) == 0 {
					f.err = vfs.ErrKilled
				}
				err = m.life(f, 20)
			}
			m.fs.Crash(m.rand)
			if err := m.open(); err != nil {
				t.Fatalf("seed %d, operation %d: %v\n%s", seed, after, err, strings.Join(m.steps, "\n"))
			}
			if n := m.fs.OpenFiles(); n > 0 {
				t.Fatalf("seed %d, operation %d: %d files are open", seed, after, n)
			}
		}
	}
	t.Logf("%d ends", points)
}

// expect tells whether an error is the one that was provoked.
func expect(err, want error) error {
	if err == nil || errors.Is(err, want) && !errors.As(err, new(violation)) {
		return nil
	}
	return err
}

// TestFailingDisk fails one operation after the other, reading included. The store tells, refuses to go on, and what
// was synced is there when it is opened again, with or without a loss of power.
func TestFailingDisk(t *testing.T) {
	failures := 0
	for seed := range seeds(t, max(4, lives/4)) {
		step := 1 + int(seed)%11
		if lives > 0 {
			step = 1
		}
		for after := 0; ; after += step {
			m := newModel(seed)
			cause := []error{syscall.EIO, syscall.ENOSPC}[(after/step+int(seed))%2]
			f := &fault{after: after, err: cause, count: func(string) bool { return true }}
			err := m.life(f, 60)
			if f.hit == "" && err == nil {
				break
			}
			failures++
			m.log("%v at %s", cause, f.hit)
			if err := m.afterFailure(f, err, cause); err != nil {
				t.Fatalf("seed %d, operation %d: %v\n%s", seed, after, err, strings.Join(m.steps, "\n"))
			}
		}
	}
	t.Logf("%d failed operations", failures)
}

func (m *model) afterFailure(f *fault, err, cause error) error {
	op, _, _ := strings.Cut(f.hit, " ")
	if err := expect(err, cause); err != nil {
		return err
	}
	if err == nil && op != "read" && op != "open" && op != "list" && op != "close" {
		return fmt.Errorf("nobody tells that %s failed", f.hit)
	}
	if err != nil && m.store != nil && changes(op) && m.store.failed.Load() == nil && len(m.steps) > 1 && !strings.HasPrefix(m.steps[len(m.steps)-2], "re") {
		return fmt.Errorf("the store can be used after %w", err)
	}
	if m.store != nil && m.store.failed.Load() != nil {
		var tried []string
		m.fs.Fail = func(op, name string) error {
			tried = append(tried, op+" "+name)
			return nil
		}
		for what, err := range map[string]error{
			"append": m.store.Append(m.branch().last+1, nil), "sync": m.store.Sync(), "roll": m.store.Roll(),
			"epoch": m.store.SaveEpoch(true, 9), "snapshot": m.store.WriteSnapshot(m.tree, m.tree.LastZxid()),
			"supersede": m.store.Supersede(m.tree, 1), "truncate": second(m.store.Truncate(0)),
			"reload": second(m.store.Reload()), "purge": second(m.store.Purge(3)),
		} {
			if !errors.Is(err, cause) {
				return fmt.Errorf("%s after a failure: %w", what, err)
			}
		}
		if m.fs.Fail = nil; len(tried) > 0 {
			return fmt.Errorf("tried after %s had failed: %v", f.hit, tried)
		}
	}
	// After a failed sync the pages count as clean though they are not: only the disk tells what is there.
	if op == "sync" || op == "syncdir" || m.rand.IntN(2) == 0 {
		m.fs.Crash(m.rand)
	}
	if err := m.open(); err != nil {
		return err
	}
	for range 10 {
		if err := m.step(); err != nil {
			return err
		}
	}
	m.fs.Crash(m.rand)
	return m.open()
}

func second[T any](_ T, err error) error { return err }
