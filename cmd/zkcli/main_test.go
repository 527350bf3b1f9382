package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                        nil,
		"  ls  /a ":               {"ls", "/a"},
		`create /a "two words" x`: {"create", "/a", "two words", "x"},
		`set /a 'it is "it"'`:     {"set", "/a", `it is "it"`},
		`set /a "open`:            {"set", "/a", "open"},
		`set /a ""`:               {"set", "/a", ""},
	} {
		if got := split(line); !slices.Equal(got, want) {
			t.Errorf("split(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestACL(t *testing.T) {
	acl, err := parseACL("world:anyone:r,digest:bob:hash=:cdrwa")
	want := []zk.ACL{{Perms: zk.PermRead, Scheme: "world", ID: "anyone"}, {Perms: zk.PermAll, Scheme: "digest", ID: "bob:hash="}}
	if err != nil || !slices.Equal(acl, want) {
		t.Errorf("%v, %v", acl, err)
	}
	for _, bad := range []string{"world", "world:anyone", "world:anyone:x"} {
		if _, err := parseACL(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestFourLetterWord(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		word := make([]byte, 4)
		io.ReadFull(conn, word)
		io.WriteString(conn, "you said "+string(word))
		conn.Close()
	}()
	var out, errs bytes.Buffer
	code := run([]string{"-default-server", "127.0.0.1:1", "-four-letter-word", "srvr", "-server", l.Addr().String()}, nil, &out, &errs)
	if code != 0 || out.String() != "you said srvr" {
		t.Errorf("code %d, %q, %q", code, out.String(), errs.String())
	}
}

// Without a server: what needs none works, what needs one says so.
func TestWithoutServer(t *testing.T) {
	for _, c := range []struct {
		args []string
		in   string
		code int
		out  string
	}{
		{args: []string{"version"}, out: "ZooKeeper CLI version: dev"},
		{args: []string{"-server"}, code: 2, out: "-server needs a value"},
		{args: []string{"-server", "127.0.0.1:1", "-timeout", "50", "ls", "/"}, code: 1, out: "ConnectionLoss"},
		{args: []string{"-server", "127.0.0.1:1"}, in: "close\nls /\n", code: 1, out: "Not connected"},
		{args: []string{"-server", "127.0.0.1:1"}, in: "fly\n", code: 127, out: "Command not found fly"},
		{args: []string{"-server", "127.0.0.1:1"}, in: "ls nowhere\n", code: 1, out: "Path must start with / character"},
		{args: []string{"-server", "127.0.0.1:1"}, in: "printwatches off\nprintwatches\nquit\nfly\n", out: "printwatches is off"},
	} {
		var out bytes.Buffer
		code := run(c.args, strings.NewReader(c.in), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.out) {
			t.Errorf("%q with input %q: code %d, output %q; want %d, %q", c.args, c.in, code, out.String(), c.code, c.out)
		}
	}
}
