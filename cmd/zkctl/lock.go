package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/zkctl/zkctl/inventory"
)

var errLocked = errors.New("another zkctl is at work on this inventory")

// lockedError is an inventory with which another zkctl works.
type lockedError struct{ file, holder string }

func (e *lockedError) Error() string {
	if e.holder == "" {
		return e.file + ": " + errLocked.Error()
	}
	return e.file + ": " + errLocked.Error() + ": " + e.holder
}
func (e *lockedError) Unwrap() error { return errLocked }
func (e *lockedError) Hint() string  { return "wait until it has ended; zkctl status works meanwhile" }

// lock keeps a second zkctl on this machine from working with the same inventory: two rolling restarts, each of which
// permits itself one missing member, would together stop the ensemble. The lock is the kernel's and on the inventory
// itself, so that it ends with the process and leaves no file behind. The result must be called at the end.
func lock(inv *inventory.Inventory) (unlock func(), err error) {
	f, err := os.Open(inv.File)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, &lockedError{file: inv.File}
	case err != nil:
		// Some network file systems have no locks; that is no reason not to work.
		f.Close()
		return func() {}, nil
	}
	return func() { f.Close() }, nil
}
