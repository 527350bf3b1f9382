package ensemble

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestStopped(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	if stopped(c.Process.Pid) {
		t.Error("it is stopped before it is told to")
	}
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := Until(10*time.Second, "it stops", func() bool { return stopped(c.Process.Pid) }); err != nil {
		t.Error(err)
	}
}
