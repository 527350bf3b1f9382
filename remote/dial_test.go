package remote

import (
	"errors"
	"testing"
)

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
