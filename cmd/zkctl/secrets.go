package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/zkctl/zkctl/inventory"
)

// secrets fetches secrets when they are needed, and asks for each only once.
type secrets struct {
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
		v, err := fetch(what, ref)
		if err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		if s.known == nil {
			s.known = map[string]string{}
		}
		s.known[key] = v
		return v, nil
	}
}

func fetch(what string, ref inventory.Secret) (string, error) {
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
	defer tty.Close()
	fmt.Fprintf(tty, "%s: ", what)
	v, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(v), err
}
