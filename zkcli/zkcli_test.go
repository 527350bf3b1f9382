package zkcli

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/wire"
)

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
	code := Run("dev", []string{"-default-server", "127.0.0.1:1", "-four-letter-word", "srvr", "-server", l.Addr().String()}, nil, &out, &errs)
	if code != 0 || out.String() != "you said srvr" {
		t.Errorf("code %d, %q, %q", code, out.String(), errs.String())
	}
}

// Without a server: what needs none works, what needs one says so.
func TestWithoutServer(t *testing.T) {
	nowhere := []string{"-server", "127.0.0.1:1"}
	for _, c := range []struct {
		args []string
		in   string
		code int
		out  string
	}{
		{args: []string{"version"}, out: "ZooKeeper CLI version: dev\n"},
		{args: append(nowhere, "ls", "/"), code: 1, out: "KeeperErrorCode = ConnectionLoss for /\n"},
		{args: append(nowhere, "sync", "/"), out: "Sync has failed. rc=-4\n"},
		{args: append(nowhere, "-timeout", "50", "-waitforconnection", "ls", "/"), code: 1, out: "KeeperErrorCode = ConnectionLoss\n"},
		{args: append(nowhere, "history"), out: "0 - null\n"},
		{args: append(nowhere, ""), code: 127, out: "Command not found: Command not found \n"},
		{args: append(nowhere, "version", "extra"), code: 1, out: "version \n"},
		{args: append(nowhere, "-timeout"), out: "Error: no argument found for option -timeout\n"},
		{args: append(nowhere, "-client-configuration", "/none", "ls", "/"), code: 2, out: "Error while processing /none\nCaused by: /none file is missing\n"},
		{args: []string{"-server", "a/", "version"}, out: "ZooKeeper CLI version: dev\n"},
		{args: []string{"-server", "a/b/", "version"}, code: 1, out: "Path must not end with / character\n"},
		{args: nowhere, in: "close\nls /\n", out: "Not connected\n"},
		{args: nowhere, in: "fly\n", code: 127, out: "Command not found: Command not found fly\n"},
		{args: nowhere, in: "\"\n", code: 1, out: "No command entered\n"},
		{args: nowhere, in: "ls nowhere\n", code: 1, out: "Path must start with / character\n"},
		{args: nowhere, in: "fly\nquit\nls nowhere\n", code: 127, out: "Command not found fly\n"},
		{args: nowhere, in: "fly\nredo 0\n", out: "Command not found fly\n"},
		{args: nowhere, in: "printwatches off\nprintwatches\nquit\nfly\n", out: "printwatches is off\n"},
		{args: nowhere, in: "set -v x / y\nprintwatches\n", code: 1, out: "For input string: \"x\"\n"},
		{args: nowhere, in: "fly\nredo 1\nredo x\nhistory\n", code: 1, out: "For input string: \"x\"\n"},
	} {
		var out bytes.Buffer
		code := Run("dev", c.args, strings.NewReader(c.in), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.out) {
			t.Errorf("%q with input %q: code %d, output %q; want %d, %q", c.args, c.in, code, out.String(), c.code, c.out)
		}
	}
}

// TestDescribe has the texts that no script causes easily.
func TestDescribe(t *testing.T) {
	for code, want := range map[wire.ErrCode]string{
		wire.ErrNoNode: "Node does not exist: null", wire.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: null",
		wire.ErrNodeExists: "Node already exists: null", wire.ErrNotEmpty: "Node not empty: null",
		wire.ErrNotReadOnly: "Not a read-only call: null", wire.ErrInvalidACL: "Acl is not valid : null",
		wire.ErrNoAuth: "Insufficient permission : null", wire.ErrBadArguments: "Arguments are not valid : null",
		wire.ErrBadVersion: "version No is not valid : null", wire.ErrQuotaExceeded: "Quota has exceeded : null",
		wire.ErrReconfigInProgress: "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)",
		wire.ErrNewConfigNoQuorum: "No quorum of new config is connected and up-to-date with the leader of last commmitted config" +
			" - try invoking reconfiguration after new servers are connected and synced",
		wire.ErrThrottledOp: "KeeperErrorCode = Op throttled due to high load",
	} {
		if got := describe(&client.Error{Code: code}); got != want {
			t.Errorf("%d: %s", code, got)
		}
	}
}

func TestText(t *testing.T) {
	for data, want := range map[string]string{
		"": "", "plain ü 中 😀": "plain ü 中 😀", "\xff\xfe": "��", "a\xe2\x82b": "a�b", "\xe2\x82": "�",
		"\xf0\x9f\x98": "�", "\xc3": "�", "\x80\x80": "��", "\xe0\x80\x80": "���",
	} {
		if got := javatext.Decode([]byte(data)); got != want {
			t.Errorf("%q is %q instead of %q", data, got, want)
		}
	}
}

func TestHexDump(t *testing.T) {
	const want = `         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70 |abcdefghijklmnop|
|00000010| 00 ff 7e 7f 20                                  |..~. |`
	got := hexDump([]byte("abcdefghijklmnop\x00\xff~\x7f "))
	if !strings.HasPrefix(got, want[:len(want)-1]) || !strings.HasSuffix(got, "           |\n+--------+-------------------------------------------------+----------------+") {
		t.Errorf("%s", got)
	}
	if got := hexDump(nil); got != "" {
		t.Error(got)
	}
}

func TestTrack(t *testing.T) {
	for data, want := range map[string]string{
		"":                                  "count=-1,bytes=-1",
		"count=1,bytes=2":                   "count=1,bytes=2",
		"count=1,bytes=2=;byteHardLimit=-1": "count=1,bytes=2=;byteHardLimit=-1",
		"x=5;count=1":                       "count=1,bytes=-1=;x=5",
		"count==5":                          "count=-1,bytes=-1",
	} {
		got, err := parseTrack([]byte(data))
		if err != nil || got.String() != want {
			t.Errorf("%q is %v, %v", data, got, err)
		}
	}
	for _, bad := range []string{"count", "count=x", "count=99999999999999999999"} {
		if _, err := parseTrack([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestClientServers(t *testing.T) {
	for text, want := range map[string]string{
		"version=100000000\nserver.10=c:1:2:observer;[::1]:9\nserver.2=a:1:2:participant;0.0.0.0:2181\nserver.3=b:1:2;2182": "100000000 0.0.0.0:2181,0.0.0.0:2182,[::1]:9",
		"server.1=a:1:2\nserver.2=b:1:2\nversion=0": "0 ,",
		"": " ",
	} {
		if got := clientServers([]byte(text)); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}

func TestReadMembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members")
	for text, want := range map[string]string{
		"# members\nserver.2 = b:1:2;3\nserver.1: a:1:2\nversion=5\ngroup.1=1:2": "server.1=a:1:2\nserver.2=b:1:2;3\ngroup.1=1:2\nversion=5",
		"clientPort=1": "Unrecognised parameter: clientPort",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readMembers(path)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
	if _, err := readMembers("/none"); err == nil || err.Error() != "/none (No such file or directory)" {
		t.Error(err)
	}
}
