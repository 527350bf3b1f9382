package bundle

import (
	"errors"
	"testing"
)

func TestUnknownArchitecture(t *testing.T) {
	if _, err := Server("pdp11"); !errors.Is(err, ErrMissing) {
		t.Errorf("error %v", err)
	}
}

// Where this build carries a program, it is an ELF executable and its checksum is that of its bytes.
func TestBundled(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		for _, get := range []func(string) (Program, error){Server, Client} {
			p, err := get(arch)
			if errors.Is(err, ErrMissing) {
				t.Logf("%v", err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Bytes[:4]) != "\x7fELF" || p.SHA256 != New("", p.Bytes).SHA256 {
				t.Errorf("%s for %s is no executable", p.Name, arch)
			}
		}
	}
}
