//go:build interop

package transcript

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zkctl/zkctl/test/ensemble"
)

// console is a pseudo-terminal with zkcli at its other end.
type console struct {
	t       *testing.T
	cmd     *exec.Cmd
	master  *os.File
	seen    printed
	changed chan struct{}
	from    int // what has been looked at
}

func openConsole(t *testing.T, cmd *exec.Cmd, columns uint16) *console {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	must(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	c := &console{t: t, cmd: cmd, master: master, changed: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p := &process{changed: c.changed}
		p.read(master, &c.seen)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		master.Close()
		<-ended
	})
	return c
}

// typed sends keys and waits for a text that was not there before.
func (c *console) typed(keys, want string) {
	c.t.Helper()
	_, err := c.master.WriteString(keys)
	must(c.t, err)
	deadline := time.After(patience)
	for {
		seen := c.seen.String()
		if i := strings.Index(seen[c.from:], want); i >= 0 {
			c.from += i + len(want)
			return
		}
		select {
		case <-c.changed:
		case <-deadline:
			c.t.Fatalf("%q: no %q in %q", keys, want, seen[c.from:])
		}
	}
}

// ended waits for the exit code.
func (c *console) ended(keys string, code int) {
	c.t.Helper()
	_, err := c.master.WriteString(keys)
	must(c.t, err)
	killer := time.AfterFunc(patience, func() { c.cmd.Process.Kill() })
	defer killer.Stop()
	_ = c.cmd.Wait() // the code says it
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.t.Errorf("exit code %d instead of %d", got, code)
	}
}

// TestTerminal types at zkcli's line editor.
func TestTerminal(t *testing.T) {
	e, err := ensemble.New(ensemble.Settings{}, ensemble.Zkserver)
	must(t, err)
	defer e.Close()
	must(t, e.Start())
	must(t, e.Await(patience))
	server := e.Connection()
	open := func(columns uint16) *console {
		t.Helper()
		c := openConsole(t, way{}.command(t, nil, server), columns)
		c.typed("", "JLine support is enabled\r\n")
		c.typed("", fmt.Sprintf("[zk: %s(CONNECTED) 0] ", server))
		return c
	}

	c := open(120)
	c.typed("cre\t", "create ") // completed
	c.typed("/apple x\r", "Created /apple\r\n")
	c.typed("create /app x\r", "Created /app\r\n")
	c.typed("create /app/one x\r", "Created /app/one\r\n")
	c.typed("ge\t\t", "get                   getAcl                getAllChildrenNumber  getEphemerals\r\n")
	c.typed("\x15ls /a\t", "pp")         // as far as there is no doubt
	c.typed("\t", "app    apple\r\n")    // then what is possible
	c.typed("l\t", "e")                  // the rest of the name
	c.typed("\t\r", "[]\r\n")            // and a blank after it
	c.typed("ls /app\x7f\x7fpp\t", "\n") // two are possible
	c.typed("\x15ls /nothing\t", "ls /nothing")
	c.typed("\x15get -w /app\r", "x\r\n")
	c.typed("set /app 'half ty", "half ty")
	c.typed("\x12", "half ty") // nothing of the kind was typed before
	c.typed("ped'\r", "WatchedEvent state:SyncConnected type:NodeDataChanged path:/app\r\n")
	c.typed("get /app\r", "half typed\r\n")
	c.typed("\x1b[A\x1b[A\x1b[A\r", "half typed\r\n") // up to get -w
	c.typed("one\x12", "create /app/one x")
	c.typed("\x15create\x12\x12", "create /app x")
	c.typed("\x03printwatches\r", "printwatches is on\r\n") // the line was dropped
	c.typed("stat -w /new", "/new")
	c.typed("\r", "Node does not exist: /new\r\n")

	other := open(60)
	other.typed("create /new\r", "Created /new\r\n")
	c.typed("half", "half")
	other.typed("set /app 1\r", "(CONNECTED) 2] ")
	c.typed("", "WATCHER::") // above the line, which is repeated
	c.typed("", "] half")
	c.ended("\x03\x03", 130)

	other.typed("fly\r", "Command not found: Command not found fly\r\n")
	other.ended("\x04", 127)

	last := open(80)
	last.typed("delete -v x /app\r", "For input string: \"x\"\r\n") // and goes on
	must(t, e.Member(1).Kill())
	last.typed("", "state:Disconnected type:None path:null\r\n")
	last.typed("", "(CONNECTING) 1] ")
	last.typed("quit\r", "state:Closed")
	last.ended("", 1)

	c = openConsole(t, way{}.command(t, nil, server), 80)
	c.typed("", "(CONNECTING) 0] ")
	must(t, c.cmd.Process.Signal(syscall.SIGTERM))
	c.ended("", 128+int(syscall.SIGTERM))
}
