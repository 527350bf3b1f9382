package preflight

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probePeers stands in for a member before it runs: it opens the member's ports, greets those of all others, and ends when
// it has reached all of them and all of them have reached it, or when the grace is over. All hosts must run it at about
// the same time. Its flags, each of which may be repeated:
//
//	-name NAME            how it introduces itself
//	-listen HOST:PORT     a port of its own; without HOST on all addresses
//	-peer NAME=HOST:PORT  a port of another member that runs this program, too
//	-serving NAME=HOST:PORT  a port of another member whose server runs: connecting to it is all, and its host runs this
//	                      program to reach others
//	-resolve NAME         a name to resolve
//	-grace DURATION       how long to try
func probePeers(args []string, stdout io.Writer) error {
	var listen, peers, serving, names words
	f := flags("probe-peers")
	self := f.String("name", "", "")
	grace := f.Duration("grace", 5*time.Second, "")
	f.Var(&listen, "listen", "")
	f.Var(&peers, "peer", "")
	f.Var(&serving, "serving", "")
	f.Var(&names, "resolve", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *self == "" || f.NArg() > 0 || strings.ContainsAny(*self, " \n") {
		return errors.New("usage: zkserver probe-peers -name NAME [-listen [HOST]:PORT] [-peer NAME=HOST:PORT ...]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), *grace)
	defer cancel()
	go func() {
		if unread(stdout) {
			cancel()
		}
	}()
	p := &prober{self: *self, heard: map[string]bool{}, wake: make(chan struct{}, 1)}
	defer p.close()
	var expected []string
	for _, address := range listen {
		if err := p.listen(ctx, address, *grace/2); err != nil {
			fmt.Fprintf(stdout, "peers.listen\t=%s %s\n", address, reason(err))
			continue
		}
		_, port, _ := net.SplitHostPort(address)
		fmt.Fprintf(stdout, "peers.listen\t=%s ok\n", address)
		for _, peer := range slices.Concat(peers, serving) {
			name, _, _ := strings.Cut(peer, "=")
			if e := name + " " + port; !slices.Contains(expected, e) {
				expected = append(expected, e)
			}
		}
	}
	results := make([]string, len(peers)+len(serving))
	var dials sync.WaitGroup
	for i, target := range slices.Concat(peers, serving) {
		_, address, ok := strings.Cut(target, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=HOST:PORT", target)
		}
		dials.Go(func() { results[i] = p.reach(ctx, address, i < len(peers)) })
	}
	var resolved []string
	for _, name := range names {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err != nil {
			addresses = []string{"?"}
		}
		slices.Sort(addresses)
		resolved = append(resolved, fmt.Sprintf("peers.name\t=%s %s", name, strings.Join(slices.Compact(addresses), " ")))
	}
	dials.Wait()
	p.await(ctx, expected)
	for i, target := range slices.Concat(peers, serving) {
		name, address, _ := strings.Cut(target, "=")
		fmt.Fprintf(stdout, "peers.reach\t=%s %s %s\n", name, address, results[i])
	}
	for _, line := range resolved {
		fmt.Fprintln(stdout, line)
	}
	return nil
}

// unread waits until nobody can read any more what is written to a pipe or socket. Of other writers it cannot tell.
func unread(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	polled := []unix.PollFd{{Fd: int32(file.Fd())}}
	for {
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if polled[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			return true
		}
	}
}

// greeting begins what one prober says to another; the name follows.
const greeting = "zkctl-probe "

type prober struct {
	self string

	mu        sync.Mutex
	listeners []net.Listener
	heard     map[string]bool // "NAME PORT"
	wake      chan struct{}
}

// listen opens a port. One that is in use is waited for: it may be that of a prober of a run that was cut off.
func (p *prober) listen(ctx context.Context, address string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l, err := net.Listen("tcp", address)
	for errors.Is(err, syscall.EADDRINUSE) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
			l, err = net.Listen("tcp", address)
		}
	}
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	p.mu.Lock()
	p.listeners = append(p.listeners, l)
	p.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.answer(conn, port)
		}
	}()
	return nil
}

// answer takes a greeting and returns it.
func (p *prober) answer(conn net.Conn, port string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
	name, ok := strings.CutPrefix(strings.TrimSpace(string(line)), greeting)
	if err != nil || !ok {
		return
	}
	if _, err := fmt.Fprintf(conn, "%s%s\n", greeting, p.self); err != nil {
		return
	}
	p.mu.Lock()
	p.heard[name+" "+port] = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await waits until all that are expected have greeted.
func (p *prober) await(ctx context.Context, expected []string) {
	all := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !slices.ContainsFunc(expected, func(e string) bool { return !p.heard[e] })
	}
	for !all() {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (p *prober) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		l.Close()
	}
}

// reach tries to reach an address until it works or ctx ends, and says how it went: "ok", "other" where somebody else
// than a prober answers, or why not.
func (p *prober) reach(ctx context.Context, address string, greet bool) string {
	result := "no answer"
	// The others begin some milliseconds sooner or later; who is not there after that may be for long.
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		var dialer net.Dialer
		conn, err := dialer.DialContext(attempt, "tcp", address)
		cancel()
		switch {
		case err != nil && ctx.Err() == nil || err != nil && result == "no answer":
			result = reason(err)
		case err == nil && !greet:
			conn.Close()
			return "ok"
		case err == nil:
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			fmt.Fprintf(conn, "%s%s\n", greeting, p.self)
			line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
			conn.Close()
			if strings.HasPrefix(string(line), greeting) {
				return "ok"
			}
			result = "other"
			if err != nil && len(line) == 0 && errors.Is(err, syscall.ECONNRESET) {
				result = "no answer" // a prober that has just ended, or is about to begin
			}
		}
		select {
		case <-ctx.Done():
			return result
		case <-time.After(pause):
		}
	}
}

// reason is a word or two for why a port cannot be reached or opened.
func reason(err error) string {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route"
	case errors.Is(err, syscall.ENETUNREACH):
		return "no network"
	case errors.Is(err, syscall.EADDRINUSE):
		return "in use"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "not an address of this host"
	case errors.Is(err, syscall.EACCES):
		return "not permitted"
	case errors.As(err, &dns):
		return "unknown name"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
