package zkcli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/zkctl/zkctl/client"
)

// codeInterrupted is that of a program that Ctrl-C ended.
const codeInterrupted = 130

// errInterrupted is Ctrl-C on an empty line.
var errInterrupted = errors.New("interrupted")

// terminal reads lines that somebody types, with history and completion. It is in raw mode only while it waits for a line, so
// that Ctrl-C ends a command that takes too long.
type terminal struct {
	*term.Terminal
	keys    *keys
	signals chan os.Signal

	mu     sync.Mutex
	server string // for the prompt, like number
	number int
	cooked *term.State // nil outside of raw mode
}

// openTerminal returns nil if nobody types, or if the terminal cannot move its cursor.
func openTerminal(s *shell, stdin io.Reader) *terminal {
	in, typed := stdin.(*os.File)
	out, seen := s.out.stdout.(*os.File)
	if !typed || !seen || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	k := &keys{in: in, out: out}
	t := &terminal{Terminal: term.NewTerminal(k, ""), keys: k, signals: make(chan os.Signal, 1)}
	t.AutoCompleteCallback = (&completer{shell: s, terminal: t}).press
	t.History = past{s}
	t.resize()
	signal.Notify(t.signals, syscall.SIGWINCH, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for number := range t.signals {
			if number == syscall.SIGWINCH {
				t.resize()
				continue
			}
			t.restore()
			os.Exit(128 + int(number.(syscall.Signal)))
		}
	}()
	return t
}

func (t *terminal) close() {
	signal.Stop(t.signals)
	close(t.signals)
}

func (t *terminal) resize() {
	if width, height, err := term.GetSize(int(t.keys.in.Fd())); err == nil {
		_ = t.SetSize(width, height)
	}
}

// width is the number of columns.
func (t *terminal) width() int {
	width, _, err := term.GetSize(int(t.keys.in.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// raw begins raw mode.
func (t *terminal) raw(server string, state client.State, number int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	cooked, err := term.MakeRaw(int(t.keys.in.Fd()))
	if err != nil {
		return err
	}
	t.cooked, t.server, t.number = cooked, server, number
	t.prompt(state)
	return nil
}

// restore ends raw mode.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cooked != nil {
		_ = term.Restore(int(t.keys.in.Fd()), t.cooked)
		t.cooked = nil
	}
}

// readLine waits for a line behind the prompt of the server, the state and the number of the command. It returns io.EOF
// for Ctrl-D and errInterrupted for Ctrl-C, both on an empty line.
func (t *terminal) readLine(server string, state client.State, number int) (string, error) {
	if err := t.raw(server, state, number); err != nil {
		return "", err
	}
	defer t.restore()
	line, err := t.ReadLine()
	if err == term.ErrPasteIndicator {
		err = nil
	}
	return line, err
}

// Write prints above the line being typed, if one is.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cooked == nil {
		return t.keys.out.Write(b)
	}
	return t.Terminal.Write(b)
}

// prompt changes the prompt, which the next output repeats. mu is held.
func (t *terminal) prompt(state client.State) {
	t.SetPrompt(fmt.Sprintf("[zk: %s(%v) %d] ", t.server, state, t.number))
}

// showState puts the state of the session, as events tell it, into the prompt.
func (t *terminal) showState(state client.EventState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prompt(map[client.EventState]client.State{
		client.StateDisconnected: client.Connecting, client.StateSyncConnected: client.Connected,
		client.StateSaslAuthenticated: client.Connected, client.StateConnectedReadOnly: client.ConnectedReadOnly,
		client.StateClosed: client.Closed, client.StateExpired: client.Closed, client.StateAuthFailed: client.AuthFailed,
	}[state])
}

// past is what was typed before.
type past struct{ *shell }

// Add leaves adding to the shell, which numbers the lines.
func (past) Add(string) {}

// Len is the number of lines.
func (p past) Len() int { return len(p.history) }

// At counts backwards.
func (p past) At(i int) string { return p.history[len(p.history)-1-i] }

// keyInterrupt stands for Ctrl-C, which the editor would take for the end of input. No key sends it.
const keyInterrupt = 0x1f

// keys are the terminal's input and output.
type keys struct {
	in, out *os.File
	leave   bool // the next read is the end
}

func (k *keys) Read(b []byte) (int, error) {
	if k.leave {
		return 0, errInterrupted
	}
	n, err := k.in.Read(b)
	for i, c := range b[:n] {
		if c == 3 {
			b[i] = keyInterrupt
		}
	}
	return n, err
}

func (k *keys) Write(b []byte) (int, error) { return k.out.Write(b) }
