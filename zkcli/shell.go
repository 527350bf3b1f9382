package zkcli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/wire"
)

// shell is a session and the commands that came through it.
type shell struct {
	options
	session      *client.Client
	out          *output
	err          io.Writer
	printWatches atomic.Bool
	history      []string
	code         int // the exit code so far
	ended        bool
}

func newShell(o options, out, err io.Writer) *shell {
	s := &shell{options: o, out: &output{stdout: out}, err: err}
	s.printWatches.Store(true)
	return s
}

// output is stdout, or the terminal from when there is one, where what comes of itself appears above the line being typed.
type output struct {
	stdout   io.Writer
	terminal atomic.Pointer[terminal]
}

func (o *output) Write(b []byte) (int, error) {
	if t := o.terminal.Load(); t != nil {
		return t.Write(b)
	}
	return o.stdout.Write(b)
}

// failure is an error whose text is that of zkCli.sh, capitals and all.
type failure string

func (f failure) Error() string { return string(f) }

// errQuit ends the shell with the code of the command before.
var errQuit = errors.New("quit")

// fatal ends zkCli.sh with code 1, because nothing there catches the exception. It does so here where commands come from a
// script; who types goes on.
type fatal string

func (f fatal) Error() string { return string(f) }

// codes of exits, apart from 0 and 1.
const (
	codeInvalid  = 2
	codeNotFound = 127
)

// exit is an error with a code of its own.
type exit struct {
	error
	code int
}

// background is the context of all commands: what waits too long is ended with Ctrl-C, like any program.
var background = context.Background()

// connect begins a session after ending the one there is.
func (s *shell) connect(server string) error {
	if s.session != nil && s.session.State().Alive() {
		s.session.Close(background)
	}
	s.server = server
	settings, err := loadSettings(s.config)
	if err != nil {
		return exit{err, codeInvalid}
	}
	ms, err := parseInt32(s.timeout)
	if err != nil {
		return err
	}
	o := client.Options{SessionTimeout: time.Duration(ms) * time.Millisecond, ReadOnly: s.readOnly}
	if err := settings.apply(&o, s.err); err != nil {
		return exit{err, codeInvalid}
	}
	connected := make(chan struct{}, 1)
	o.OnEvent = func(e client.Event) {
		if t := s.out.terminal.Load(); t != nil && e.Type == client.None {
			t.showState(e.State)
		}
		if s.printWatches.Load() {
			fmt.Fprintf(s.out, "\nWATCHER::\n\n%s\n", e)
		}
		if e.Type == client.None && e.State == client.StateSyncConnected {
			select {
			case connected <- struct{}{}:
			default:
			}
		}
	}
	session, err := client.Connect(server, o)
	if err != nil {
		return fatal(err.Error())
	}
	s.session = session
	if !s.wait {
		return nil
	}
	select {
	case <-connected:
		return nil
	case <-time.After(o.SessionTimeout):
		s.session.Close(background)
		return fatal((&client.Error{Code: wire.ErrConnectionLoss}).Error())
	}
}

// leave lets go of the session without ending it at the server: only quit and close do that, as with zkCli.sh. A znode made
// by create -e lives on until the session has expired.
func (s *shell) leave() {
	if s.session != nil {
		s.printWatches.Store(false)
		s.session.Disconnect()
	}
}

// interact reads commands from lines until the end of input or quit, and returns the exit code.
func (s *shell) interact(stdin io.Reader) int {
	fmt.Fprintln(s.out, "Welcome to ZooKeeper!")
	t := openTerminal(s, stdin)
	if t == nil {
		fmt.Fprintln(s.out, "JLine support is disabled")
		in := bufio.NewReader(stdin)
		f, _ := stdin.(*os.File)
		typed := f != nil && term.IsTerminal(int(f.Fd()))
		for !s.ended {
			if typed {
				fmt.Fprintf(s.out, "[zk: %s(%v) %d] ", s.server, s.session.State(), len(s.history))
			}
			line, err := in.ReadString('\n')
			if err != nil && line == "" {
				break
			}
			s.executeLine(strings.TrimRight(line, "\r\n"))
		}
		return s.code
	}
	defer t.close()
	fmt.Fprintln(s.out, "JLine support is enabled")
	s.out.terminal.Store(t)
	for !s.ended {
		line, err := t.readLine(s.server, s.session.State(), len(s.history))
		if err != nil {
			fmt.Fprintln(s.out.stdout) // the prompt is still there
			if err == errInterrupted {
				s.code = codeInterrupted
			}
			break
		}
		s.executeLine(line)
	}
	return s.code
}

// executeLine runs a line, unless it is empty.
func (s *shell) executeLine(line string) {
	if line == "" {
		return
	}
	s.history = append(s.history, line)
	s.execute(split(line))
}

// execute runs one command and keeps its exit code.
func (s *shell) execute(words []string) { s.report(s.run(words)) }

// report prints an error, keeps the exit code, and tells whether there was none.
func (s *shell) report(err error) bool {
	if err == errQuit {
		s.ended = true
		return true
	}
	s.code = 0
	if err == nil {
		return true
	}
	s.code = 1
	fmt.Fprintln(s.err, describe(err))
	var e exit
	if errors.As(err, &e) {
		s.code = e.code
	}
	var f fatal
	s.ended = s.ended || errors.As(err, &f) && s.out.terminal.Load() == nil
	return false
}

func (s *shell) run(words []string) error {
	if len(words) == 0 {
		s.usage()
		return failure("No command entered")
	}
	c, ok := commands()[words[0]]
	if !ok {
		s.usage()
		return exit{failure("Command not found: Command not found " + words[0]), codeNotFound}
	}
	if c.local != nil {
		if err := c.local(s, words); err != nil {
			return err
		}
	}
	if !s.session.State().Alive() {
		fmt.Fprintln(s.out, "Not connected")
		return nil
	}
	if c.remote == nil {
		return nil
	}
	a, err := c.flags.parse(words)
	if err != nil {
		return err
	}
	if len(a.words) <= c.least {
		return failure(words[0] + " " + c.usage)
	}
	return c.remote(s, a)
}

// complaints are the texts of errors about a path, which follows.
var complaints = map[wire.ErrCode]string{
	wire.ErrNoNode:                  "Node does not exist: ",
	wire.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: ",
	wire.ErrNodeExists:              "Node already exists: ",
	wire.ErrNotEmpty:                "Node not empty: ",
	wire.ErrNotReadOnly:             "Not a read-only call: ",
	wire.ErrInvalidACL:              "Acl is not valid : ",
	wire.ErrNoAuth:                  "Insufficient permission : ",
	wire.ErrBadArguments:            "Arguments are not valid : ",
	wire.ErrBadVersion:              "version No is not valid : ",
	wire.ErrQuotaExceeded:           "Quota has exceeded : ",
}

// describe is the text of an error for people.
func describe(err error) string {
	var e *client.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	path := e.Path
	if path == "" {
		path = "null"
	}
	if text, ok := complaints[e.Code]; ok {
		return text + path
	}
	switch e.Code {
	case wire.ErrReconfigInProgress:
		return "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)"
	case wire.ErrNewConfigNoQuorum:
		return "No quorum of new config is connected and up-to-date with the leader of last commmitted config - try invoking " +
			"reconfiguration after new servers are connected and synced"
	}
	return e.Error()
}

// parseInt reads a number as java.lang.Long.parseLong does, or Integer with 32 bits; its complaint ends zkCli.sh.
func parseInt(text string, base, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, base, bits)
	if err != nil {
		return 0, fatal(fmt.Sprintf("For input string: \"%s\"", text))
	}
	return n, nil
}

func parseInt32(text string) (int32, error) {
	n, err := parseInt(text, 10, 32)
	return int32(n), err
}
