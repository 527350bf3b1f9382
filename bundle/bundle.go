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
	"sync"
)

//go:embed files
var files embed.FS

// ErrMissing says that this zkctl carries no program for the architecture.
var ErrMissing = errors.New("not in the bundle")

// Program is an executable for one architecture.
type Program struct {
	Name   string
	Bytes  []byte
	SHA256 string // lower-case hex
}

var cache sync.Map // file name to Program; unpacking takes a while

// Server returns zkserver for the architecture, in Go's name ("amd64"). The error is ErrMissing where the bundle lacks it.
func Server(arch string) (Program, error) { return program("zkserver", arch) }

// Client returns zkcli for the architecture.
func Client(arch string) (Program, error) { return program("zkcli", arch) }

func program(name, arch string) (Program, error) {
	file := fmt.Sprintf("files/%s-linux-%s.gz", name, arch)
	if p, ok := cache.Load(file); ok {
		return p.(Program), nil
	}
	compressed, err := files.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Program{}, fmt.Errorf("%s for linux/%s: %w", name, arch, ErrMissing)
	}
	if err != nil {
		return Program{}, err
	}
	unpack, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return Program{}, fmt.Errorf("%s: %w", file, err)
	}
	plain, err := io.ReadAll(unpack)
	if err != nil {
		return Program{}, fmt.Errorf("%s: %w", file, err)
	}
	p := New(name, plain)
	cache.Store(file, p)
	return p, nil
}

// New makes a program of an executable's bytes, for binaries that do not come from the bundle.
func New(name string, plain []byte) Program {
	sum := sha256.Sum256(plain)
	return Program{name, plain, hex.EncodeToString(sum[:])}
}
