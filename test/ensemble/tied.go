package ensemble

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a process that the kernel kills when this program ends, however it ends, and calls ended in a goroutine
// of its own. Pdeathsig is bound to the thread that started the child (prctl(2), PR_SET_PDEATHSIG), so one locked thread
// starts and waits for it.
func startTied(cmd *exec.Cmd, ended func()) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended()
		}
	}()
	return <-started
}
