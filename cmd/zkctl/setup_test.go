package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What hosts get as their server has to be a program for them, and zkcli as well.
func TestServerIn(t *testing.T) {
	var program bytes.Buffer
	err := binary.Write(&program, binary.LittleEndian, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Shentsize: 64,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "zkserver")
	for _, c := range []struct {
		data, arch, want string
	}{
		{"#!/bin/sh\n", "arm64", "is no Linux program"},
		{program.String(), "amd64", "the host is amd64"},
		{program.String(), "arm64", "is no zkserver that is also zkcli"},
		{program.String() + "\x00github.com/zkctl/zkctl/zkcli.Run\x00", "arm64", "is no zkserver that is also zkcli"}, // zkcli alone
		{program.String() + "\x00github.com/zkctl/zkctl/server.(*Server).loop\x00github.com/zkctl/zkctl/zkcli.Run\x00", "arm64", ""},
	} {
		if err := os.WriteFile(file, []byte(c.data), 0o755); err != nil {
			t.Fatal(err)
		}
		p, err := serverIn(file, c.arch)
		if c.want == "" && (err != nil || p.Size != len(c.data)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.20q for %s: %v, want %q", c.data, c.arch, err, c.want)
		}
	}
}
