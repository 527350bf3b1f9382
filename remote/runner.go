package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// launcher starts the loader on a host: by an SSH session or as a child.
type launcher interface {
	// launch starts the loader. An error means that nothing was started; it
	// is a *ConnError or the error of ctx.
	launch(ctx context.Context, opts launchOptions) (process, error)
}

type launchOptions struct {
	stdout, stderr func([]byte) // called from goroutines of the process, one each
	terminal       bool         // give it a terminal in raw mode
	extra          bool         // for killing another command: do not wait for its session
	several        bool         // one that has served another command will do, and this one may serve more
}

// process is a started loader.
type process interface {
	io.Writer // standard input
	CloseWrite() error
	// exited is closed when the process has ended and all output was delivered;
	// then status tells how.
	exited() <-chan struct{}
	status() exit
	// release gives up the process and its resources without waiting for it.
	release()
	// spare is release for one that waits for another script.
	spare()
	// waited tells that it was spared before: it may have ended since without being noticed.
	waited() bool
}

// exit is how a process ended as seen from outside the frame.
type exit struct {
	code   int
	signal string
	lost   error // the connection or channel ended without a status
}

// runner runs framed commands by a launcher. It is the half of a Host that SSH
// and Local share.
type runner struct {
	name     string
	address  string // host:port; empty for a local host
	user     string // login user
	isRoot   bool   // the login user is known to be root
	launcher launcher
	become   Become
	sudo     becomer
}

// killTimeout bounds the killing of a cancelled command.
const killTimeout = 15 * time.Second

// outputGrace is how long the end of one stream is waited for after the other
// ended, or after the process exited while a descendant keeps its output open.
const outputGrace = 2 * time.Second

// beginPatience is how long a loader that may serve several scripts is waited for before its input ends after this one: a
// forced command in its place may read all that there is.
const beginPatience = 3 * time.Second

// Run implements Host.
func (r *runner) Run(ctx context.Context, cmd Command) (Result, error) {
	timeout := cmd.Timeout
	if timeout == 0 {
		timeout = DefaultCommandTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res, err := r.run(limited, cmd)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (after %v)", err, timeout)
	}
	return res, err
}

func (r *runner) run(ctx context.Context, cmd Command) (Result, error) {
	if !cmd.Root || r.isRoot {
		return r.attempt(ctx, cmd, attempt{})
	}
	if r.become.None {
		res, err := r.attempt(ctx, cmd, attempt{sudo: true, none: true})
		var refused *becomeFailure
		if errors.As(err, &refused) {
			err = refused.BecomeError
		}
		return res, err
	}

	// The first command that may feed the password goes alone until sudo has
	// let it in, so that a wrong one is tried once and not by every command
	// in flight.
	s := &r.sudo
	s.gate.Lock()
	open := sync.OnceFunc(s.gate.Unlock)
	defer open()
	a, err := s.attempt(r.become)
	if err != nil {
		var refused *BecomeError
		if errors.As(err, &refused) {
			again := *refused
			again.Step = cmd.Label
			return Result{ExitCode: -1}, &again
		}
		return Result{ExitCode: -1}, fmt.Errorf("%s: %s: %w", r.name, cmd.Label, err)
	}
	if !a.withPassword || s.isProven() {
		open()
	}
	a.accepted = func() {
		s.prove()
		open()
	}

	res, err := r.attempt(ctx, cmd, a)
	var refused *becomeFailure
	if errors.As(err, &refused) && refused.tty && !a.terminal {
		a.terminal = true
		s.needTerminal()
		res, err = r.attempt(ctx, cmd, a)
	}
	if refused = nil; errors.As(err, &refused) {
		s.refuse(refused.BecomeError)
		return res, refused.BecomeError
	}
	return res, err
}

// becomeFailure is a BecomeError that may go away with a terminal.
type becomeFailure struct {
	*BecomeError
	tty bool
}

// attempt says how one try of a command becomes root.
type attempt struct {
	sudo, none   bool   // to become root
	program      string // see Become.Program
	withPassword bool
	password     string
	terminal     bool
	killing      bool   // the command ends another one
	accepted     func() // called once the script runs; may be nil
}

// call is one try of a command while it runs.
type call struct {
	marker   string
	terminal bool

	mu      sync.Mutex
	out     stream
	err     stream
	changed chan struct{} // capacity 1; poked after each write
}

func (c *call) take(s *stream, p []byte) {
	c.mu.Lock()
	s.write(p)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// heard reports whether the sudo prompt and the ready line were seen.
func (c *call) heard() (prompts int, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*stream{&c.out, &c.err} {
		prompts += bytes.Count(s.noise, []byte(c.marker+" password:"))
		if c.terminal {
			prompts += bytes.Count(s.noise, doasPrompt)
		}
		ready = ready || s.begun || bytes.Contains(s.noise, []byte(c.marker+" ready"))
	}
	return prompts, ready
}

func (c *call) begun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.begun
}

// hasTaken is how often the script has called took since it was asked last.
func (c *call) hasTaken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.out.took
	c.out.took = 0
	return n
}

// feed writes a script's standard input: of one with Paced, as far as it has taken what was sent before.
func feed(proc process, cmd Command, took, over <-chan struct{}) {
	rest := cmd.Stdin
	for n := StdinBlock * 3 / 2; cmd.Paced && len(rest) > n; n = StdinBlock {
		proc.Write(rest[:n])
		rest = rest[n:]
		select {
		case <-took:
		case <-over:
			return
		}
	}
	proc.Write(rest)
}

// awaitBegin waits until the host tells the process of a script that was sent to it, so that it can be killed, or until it
// is clear that there is none.
func (c *call) awaitBegin(proc process) {
	limit := time.NewTimer(outputGrace)
	defer limit.Stop()
	for !c.begun() {
		select {
		case <-c.changed:
		case <-proc.exited():
			return
		case <-limit.C:
			return
		}
	}
}

func (c *call) ended(merged bool) (out, err bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.ended, c.err.ended || merged
}

func (r *runner) attempt(ctx context.Context, cmd Command, a attempt) (Result, error) {
	c := &call{marker: newMarker(), terminal: a.terminal, changed: make(chan struct{}, 1)}
	c.out = stream{marker: c.marker, limit: CaptureLimit}
	c.err = stream{marker: c.marker, limit: CaptureLimit}
	several := !a.sudo && len(cmd.Stdin) == 0
	proc, err := r.launcher.launch(ctx, launchOptions{
		stdout:   func(p []byte) { c.take(&c.out, p) },
		stderr:   func(p []byte) { c.take(&c.err, p) },
		terminal: a.terminal,
		several:  several,
	})
	if err != nil {
		return Result{ExitCode: -1}, r.named(err, cmd.Label)
	}
	leave := proc.release
	defer func() { leave() }()

	payload := -1
	if a.terminal || len(cmd.Stdin) == 0 {
		payload = len(cmd.Stdin)
	}
	input := pack(wrap(c.marker, cmd, payload, a.terminal))
	sent := make(chan struct{}) // closed when the last part was sent
	took, over := make(chan struct{}, len(cmd.Stdin)/StdinBlock+1), make(chan struct{})
	defer close(over)
	send := func(last bool, parts ...[]byte) {
		// The host may not read all of it. Releasing the process ends this.
		go func() {
			if last {
				defer close(sent)
			}
			for _, b := range parts {
				proc.Write(b)
			}
			if last {
				feed(proc, cmd, took, over)
			}
			if last && !a.terminal && !several {
				proc.CloseWrite()
			}
		}()
	}
	fed := true
	switch {
	case a.sudo && a.withPassword:
		fed = false
		send(false, pack(becomeScript(c.marker, a)))
	case a.sudo:
		send(true, pack(becomeScript(c.marker, a)), input)
	default:
		send(true, input)
	}

	answered := 0
	var grace, late <-chan time.Time
	more := several
	if several && !a.terminal {
		late = time.After(beginPatience)
	}
	for {
		exited := false
		select {
		case <-ctx.Done():
			if fed && !c.begun() {
				c.awaitBegin(proc)
			}
			return r.cancelled(ctx, cmd, c, a)
		case <-proc.exited():
			exited = true
		case <-grace:
			exited = true
		case <-late:
			if !c.begun() {
				more = false // a loader ends after this script
				go func() { <-sent; proc.CloseWrite() }()
			}
		case <-c.changed:
		}
		if !fed {
			prompts, ready := c.heard()
			switch {
			case ready:
				send(true, input)
				fed = true
			case prompts > 1:
				proc.release()
				return Result{ExitCode: -1}, r.becomeError(cmd, "incorrect password", a)
			case prompts == 1 && answered == 0:
				proc.Write([]byte(a.password + "\n"))
				answered = 1
			}
		}
		if a.accepted != nil && c.begun() {
			a.accepted()
			a.accepted = nil
		}
		for range c.hasTaken() {
			select {
			case took <- struct{}{}:
			default: // more than there is
			}
		}
		out, errEnd := c.ended(a.terminal)
		switch {
		case out && errEnd && more:
			leave = proc.spare
			return r.conclude(cmd, c, proc, a)
		case exited && proc.waited() && !c.begun() && ctx.Err() == nil:
			proc.release()
			return r.attempt(ctx, cmd, a)
		case out && errEnd || exited:
			return r.conclude(cmd, c, proc, a)
		}
		if out && grace == nil {
			grace = time.After(outputGrace)
		}
	}
}

// conclude turns what was heard into a Result and an error.
func (r *runner) conclude(cmd Command, c *call, proc process, a attempt) (Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := Result{
		Stdout: c.out.output(), Stderr: c.err.output(), ExitCode: -1,
		Truncated: c.out.truncated() || c.err.truncated(),
	}
	if c.out.ended {
		res.ExitCode = c.out.code
		if res.ExitCode == 0 {
			return res, nil
		}
		said := res.Stderr
		if len(bytes.TrimSpace(said)) == 0 {
			said = res.Stdout
		}
		return res, &ExitError{Host: r.name, Step: cmd.Label, Code: res.ExitCode, Stderr: lastLines(said)}
	}
	var how exit
	select {
	case <-proc.exited():
		how = proc.status()
	default:
		how.lost = errors.New("the output ended early")
	}
	if how.lost != nil {
		return res, &ConnError{Host: r.name, Address: r.address, Step: cmd.Label, Kind: ErrLost, Cause: how.lost,
			Remedy: "run it again: what was done is found done"}
	}
	if c.out.begun {
		signal := how.signal
		if signal == "" && how.code > 128 {
			signal = strconv.Itoa(how.code - 128)
		}
		if signal == "" {
			signal = "unknown"
		}
		return res, &SignalError{Host: r.name, Step: cmd.Label, Signal: signal, Stderr: lastLines(res.Stderr)}
	}

	noise := append(bytes.Clone(c.err.noise), c.out.noise...)
	said := lastLines(withoutMarkers(noise, c.marker))
	if a.sudo && bytes.Contains(noise, []byte(c.marker+" shell")) {
		return res, r.becomeError(cmd, said, a)
	}
	kind := &ConnError{Host: r.name, Address: r.address, Step: cmd.Label, Kind: ErrShell,
		Cause:  fmt.Errorf("exit status %d without running the script; the host said: %q", how.code, said),
		Remedy: "the login user needs an account that may run /bin/sh: no forced command, no nologin shell"}
	if reason, remedy, _ := sudoFailure(said, false); strings.Contains(remedy, "change it") {
		kind.Cause, kind.Remedy = fmt.Errorf("%s; the host said: %q", reason, said), remedy
	}
	return res, kind
}

func (r *runner) becomeError(cmd Command, said string, a attempt) error {
	reason, remedy, tty := sudoFailure(said, a.withPassword)
	if reason == "" {
		reason, remedy = said, "try `sudo -v` (or `doas true`) on the host as this user"
	}
	return &becomeFailure{tty: tty, BecomeError: &BecomeError{
		Host: r.name, User: r.user, Step: cmd.Label, Reason: reason, Remedy: remedy}}
}

// named puts the command's label into an error of the launcher.
func (r *runner) named(err error, label string) error {
	var c *ConnError
	if errors.As(err, &c) {
		return err
	}
	return fmt.Errorf("%s: %s: %w", r.name, label, err)
}

// killScript ends a process and all its descendants: politely, then not. It
// reads /proc only, because ps and pkill may be missing.
const killScript = `
tree() {
	printf '%s ' "$1"
	for s in /proc/[0-9]*/stat; do
		{ IFS= read -r l <"$s"; } 2>/dev/null || continue
		p=${l%% *}; l=${l##*) }; l=${l#* }
		[ "${l%% *}" = "$1" ] && tree "$p"
	done
}
alive() {
	for p in $all; do
		{ IFS= read -r l <"/proc/$p/stat"; } 2>/dev/null || continue
		case ${l##*) } in Z*) ;; *) return 0 ;; esac
	done
	return 1
}
all=$(tree "$1")
kill -TERM $all 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
	alive || exit 0
	sleep 0.1 2>/dev/null || sleep 1
done
kill -KILL $all 2>/dev/null
exit 0
`

// cancelled kills what was started on the host and reports the cancellation.
func (r *runner) cancelled(ctx context.Context, cmd Command, c *call, a attempt) (Result, error) {
	c.mu.Lock()
	pid := c.out.pid
	res := Result{Stdout: bytes.Clone(c.out.output()), Stderr: bytes.Clone(c.err.output()), ExitCode: -1}
	c.mu.Unlock()
	cause := context.Cause(ctx)
	if pid == 0 || a.killing {
		// What kills is not killed in its turn: a host that is too slow for the one is too slow for the other.
		return res, fmt.Errorf("%s: %s: %w", r.name, cmd.Label, cause)
	}
	if err := r.kill(context.WithoutCancel(ctx), pid, a); err != nil {
		return res, fmt.Errorf("%s: %s: %w; it may still run on the host as process %d (%v)", r.name, cmd.Label, cause, pid, err)
	}
	return res, fmt.Errorf("%s: %s: %w; it was killed on the host", r.name, cmd.Label, cause)
}

// kill ends a process and its descendants, as the user that the command ran as.
func (r *runner) kill(ctx context.Context, pid int, a attempt) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	killer := newRunner(r.name, r.user, extraLauncher{r.launcher}, r.become)
	killer.address = r.address
	a.accepted, a.killing = nil, true
	_, err := killer.attempt(ctx, Command{Label: "kill", Script: killScript, Args: []string{strconv.Itoa(pid)}}, a)
	return err
}

// extraLauncher launches beside a command that still holds its session.
type extraLauncher struct{ launcher }

func (l extraLauncher) launch(ctx context.Context, opts launchOptions) (process, error) {
	opts.extra = true
	return l.launcher.launch(ctx, opts)
}

func newRunner(name, user string, l launcher, become Become) *runner {
	return &runner{name: name, user: user, launcher: l, become: become}
}
