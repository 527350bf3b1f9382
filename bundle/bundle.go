// Package bundle holds the program that zkctl brings to hosts: zkserver, which is also zkcli, for linux on amd64 and arm64,
// compressed. `make build` puts it in the directory files; a zkctl built without it still works with binaries that the
// operator names.
package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
)

//go:embed files
var files embed.FS

// ErrMissing says that this zkctl carries no program for the architecture.
var ErrMissing = errors.New("not in the bundle")

// Program is an executable for one architecture.
type Program struct {
	SHA256 string // of the executable, lower-case hex
	Size   int    // of the executable, in bytes

	plain, packed func() ([]byte, error)
}

// Plain is the executable. All callers share the bytes.
func (p Program) Plain() ([]byte, error) { return p.plain() }

// Gzip is the executable in gzip's format, as it travels. All callers share the bytes.
func (p Program) Gzip() ([]byte, error) { return p.packed() }

var cache sync.Map // file name to Program

// Server returns zkserver for the architecture, in Go's name ("amd64"). The error is ErrMissing where the bundle lacks it.
//
// Nothing is unpacked where `make build` has left size and checksum beside the file: most runs push nothing, and those that do
// push what is packed already.
func Server(arch string) (Program, error) {
	file := fmt.Sprintf("files/zkserver-linux-%s.gz", arch)
	if p, ok := cache.Load(file); ok {
		return p.(Program), nil
	}
	packed, err := files.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Program{}, fmt.Errorf("zkserver for linux/%s: %w", arch, ErrMissing)
	}
	if err != nil {
		return Program{}, err
	}
	p := Program{
		packed: func() ([]byte, error) { return packed, nil },
		plain:  sync.OnceValues(func() ([]byte, error) { return unpack(file, packed) }),
	}
	sum, err := files.ReadFile(strings.TrimSuffix(file, ".gz") + ".sum")
	if n, _ := fmt.Sscan(string(sum), &p.SHA256, &p.Size); err != nil || n != 2 {
		plain, err := p.plain()
		if err != nil {
			return Program{}, err
		}
		p.SHA256, p.Size = sumOf(plain), len(plain)
	}
	cache.Store(file, p)
	return p, nil
}

func unpack(file string, packed []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return plain, nil
}

func sumOf(plain []byte) string {
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:])
}

// New makes a program of an executable's bytes, for binaries that do not come from the bundle. It is packed when Gzip is
// asked for, once, with the least effort: what that saves on the way has to be more than what it takes.
func New(plain []byte) Program {
	return Program{
		SHA256: sumOf(plain), Size: len(plain),
		plain: func() ([]byte, error) { return plain, nil },
		packed: sync.OnceValues(func() ([]byte, error) {
			var b bytes.Buffer
			w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
			if err == nil {
				_, err = w.Write(plain)
			}
			if err == nil {
				err = w.Close()
			}
			return b.Bytes(), err
		}),
	}
}
