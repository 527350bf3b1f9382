package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// secrets fetches secrets when they are needed, and asks for each only once.
type secrets struct {
	ctx   context.Context // ends what is asked on the terminal
	mu    sync.Mutex
	known map[string]string
}

// reader returns a function that fetches the secret; nil where there is none. what names it in the prompt.
func (s *secrets) reader(what string, ref inventory.Secret) func() (string, error) {
	if ref.IsZero() {
		return nil
	}
	return func() (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := fmt.Sprintf("%s %v", what, ref)
		if v, ok := s.known[key]; ok {
			return v, nil
		}
		v, err := fetch(s.ctx, what, ref)
		if err != nil {
			return "", &secretError{what, err}
		}
		s.keep(key, v)
		return v, nil
	}
}

// ask asks for what has to be typed before anything begins, once for each login. Passphrases wait until a key needs one.
func (s *secrets) ask(inv *inventory.Inventory) error {
	if err := s.askForJumps(inv); err != nil {
		return err
	}
	for _, h := range inv.Hosts {
		if h.Connection == inventory.OverSSH && h.SSH.Password.Prompt {
			if _, err := s.reader(sshPassword(h), h.SSH.Password)(); err != nil {
				return err
			}
		}
	}
	for _, h := range inv.Hosts {
		if h.Become.Method != "none" && h.Become.Password.Prompt {
			if _, err := s.reader(sudoPassword(h), h.Become.Password)(); err != nil {
				return err
			}
		}
	}
	return nil
}

// askForJumps asks for the passwords of jump hosts.
func (s *secrets) askForJumps(inv *inventory.Inventory) error {
	for _, h := range inv.Hosts {
		for _, j := range h.SSH.Jumps {
			if j.SSH.Password.Prompt {
				if _, err := s.reader(passwordOf(j.SSH.User), j.SSH.Password)(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// passphrase returns a function that fetches the passphrase of an identity file: from where the inventory says, else from
// the terminal, where a slip of the hand is forgiven.
func (s *secrets) passphrase(ref inventory.Secret) func(file string) ([]byte, error) {
	return func(file string) ([]byte, error) {
		if !ref.IsZero() && !ref.Prompt {
			phrase, err := s.reader("passphrase of "+file, ref)()
			return []byte(phrase), err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		what := "passphrase of " + file
		if phrase, ok := s.known[what]; ok {
			return []byte(phrase), nil
		}
		const tries = 3
		for try := 1; ; try++ {
			phrase, err := fetch(s.ctx, what, inventory.Secret{Prompt: true})
			if err != nil {
				return nil, &secretError{what, err}
			}
			if err = remote.CheckPassphrase(file, []byte(phrase)); err == nil || try == tries {
				s.keep(what, phrase)
				return []byte(phrase), nil // a wrong one is named where it is used
			}
		}
	}
}

// answer asks on the terminal for what a host wants to know beside a password. Every login has an answer of its own.
func (s *secrets) answer(question string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fetch(s.ctx, question, inventory.Secret{Prompt: true})
}

func (s *secrets) keep(what, value string) {
	if s.known == nil {
		s.known = map[string]string{}
	}
	s.known[what] = value
}

// hasTerminal tells whether there is somebody to be asked.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err == nil {
		tty.Close()
	}
	return err == nil
}

func sshPassword(h inventory.Host) string { return passwordOf(h.SSH.User) }

func passwordOf(user string) string { return "ssh password of " + user }

func sudoPassword(h inventory.Host) string { return "sudo password of " + h.SSH.User }

// secretError is a secret that is not where the inventory says.
type secretError struct {
	what  string
	cause error
}

func (e *secretError) Error() string { return e.what + ": " + e.cause.Error() }
func (e *secretError) Unwrap() error { return e.cause }
func (e *secretError) Hint() string {
	return "the inventory says where it is: {prompt: true}, {env: NAME} or {file: PATH}; --ask-pass and --ask-become-pass ask for it"
}

func fetch(ctx context.Context, what string, ref inventory.Secret) (string, error) {
	switch {
	case ref.Env != "":
		v, ok := os.LookupEnv(ref.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", ref.Env)
		}
		return v, nil
	case ref.File != "":
		f, err := os.Open(ref.File)
		if err != nil {
			return "", err
		}
		defer f.Close()
		line, err := bufio.NewReader(f).ReadString('\n')
		if err != nil && line == "" {
			return "", fmt.Errorf("%s: %w", ref.File, err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("no terminal to ask on: %w", err)
	}
	fmt.Fprintf(tty, "%s: ", what)
	return typed(ctx, tty)
}

// typed reads a line that is not shown, and closes the terminal. The read itself cannot be ended: where ctx ends, the terminal
// shows again what is typed, and stays open for the read, which goes with the process.
func typed(ctx context.Context, tty *os.File) (string, error) {
	shows, err := term.GetState(int(tty.Fd()))
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		tty.Close()
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		defer tty.Close()
		text, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		fmt.Fprintln(tty)
		return "", errors.Join(context.Cause(ctx), term.Restore(int(tty.Fd()), shows))
	}
}
