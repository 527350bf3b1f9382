package bundle

import (
	"bytes"
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
		p, err := Server(arch)
		if errors.Is(err, ErrMissing) {
			t.Logf("%v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		plain, err := p.Plain()
		if err != nil {
			t.Fatal(err)
		}
		if string(plain[:4]) != "\x7fELF" || p.SHA256 != New(plain).SHA256 || p.Size != len(plain) {
			t.Errorf("what is there for %s is no executable, or not the one that it is said to be", arch)
		}
	}
}

// What travels is what was given.
func TestPacked(t *testing.T) {
	plain := bytes.Repeat([]byte("zkserver"), 10_000)
	p := New(plain)
	packed, err := p.Gzip()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpack("zkserver", packed); err != nil || !bytes.Equal(got, plain) || len(packed) >= len(plain) {
		t.Errorf("%d bytes became %d, and those %d: %v", len(plain), len(packed), len(got), err)
	}
}
