package remote

import (
	"errors"
	"testing"
)

// What sudo says, and sudo-rs, which is Ubuntu's.
func TestSudoFailure(t *testing.T) {
	for said, want := range map[string]string{
		"sudo: a password is required":                                            "sudo wants a password",
		"sudo: interactive authentication is required":                            "sudo wants a password",
		"sudo: 1 incorrect password attempt":                                      "sudo refused the password",
		"sudo: Authentication failed, try again.":                                 "sudo refused the password",
		"guest is not in the sudoers file.":                                       "the sudoers file does not allow it",
		"sudo: I'm sorry guest. I'm afraid I can't do that":                       "the sudoers file does not allow it",
		"sudo: Account or password is expired, reset your password and try again": "the account's password has expired",
		"sudo: sorry, you must have a tty to run sudo":                            "sudo demands a terminal",
		"/bin/sh: 1: exec: sudo: not found":                                       "neither sudo nor doas is installed",
	} {
		if got, remedy, _ := sudoFailure(said, false); got != want || remedy == "" {
			t.Errorf("%s: %q, %q", said, got, remedy)
		}
	}
}

func TestRefusesLogin(t *testing.T) {
	for text, want := range map[string]bool{
		"ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain": true,
		"ssh: handshake failed: ssh: disconnect, reason 2: Too many authentication failures":                                  true, // of OpenSSH
		"ssh: handshake failed: ssh: disconnect, reason 2: too many authentication failures":                                  true,
		"ssh: handshake failed: EOF": false,
	} {
		if got := refusesLogin(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
