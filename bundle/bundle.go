// Package bundle holds the programs that zkctl brings to hosts: zkserver and zkcli for linux on amd64 and arm64,
// compressed. `make build` puts them in the directory files; a zkctl built without them still works with binaries that
// the operator names.
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
	Name   string
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
func Server(arch string) (Program, error) { return program("zkserver", arch) }

// Client returns zkcli for the architecture.
func Client(arch string) (Program, error) { return program("zkcli", arch) }

// program does not unpack anything where `make build` has left size and checksum beside the file: most runs push nothing,
// and those that do push what is packed already.
func program(name, arch string) (Program, error) {
	file := fmt.Sprintf("files/%s-linux-%s.gz", name, arch)
	if p, ok := cache.Load(file); ok {
		return p.(Program), nil
	}
	packed, err := files.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Program{}, fmt.Errorf("%s for linux/%s: %w", name, arch, ErrMissing)
	}
	if err != nil {
		return Program{}, err
	}
	p := Program{
		Name:   name,
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
func New(name string, plain []byte) Program {
	return Program{
		Name: name, SHA256: sumOf(plain), Size: len(plain),
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
