package peer

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// TestGreetingRecorded reads what Apache ZooKeeper servers say first, and says the same.
func TestGreetingRecorded(t *testing.T) {
	n := 0
	for _, m := range recorded(t, "election-start.txt") {
		if m.kind != "InitialMessage" {
			continue
		}
		n++
		g, err := readGreeting(bytes.NewReader(m.raw))
		if err != nil {
			t.Fatal(err)
		}
		if from := fmt.Sprintf("%d->", g.id); !strings.HasPrefix(m.way, from) || len(g.addresses) != 1 {
			t.Fatalf("%s: read %+v", m.way, g)
		}
		if got := appendGreeting(nil, g.id, g.addresses[0]); !bytes.Equal(got, m.raw) {
			t.Errorf("%s: wrote\n%x instead of\n%x", m.way, got, m.raw)
		}
	}
	if n != 5 {
		t.Errorf("%d greetings were recorded, not 5", n)
	}
}

func TestReadGreeting(t *testing.T) {
	long := func(v ...int64) (b []byte) {
		for _, v := range v {
			b = wire.AppendInt64(b, v)
		}
		return b
	}
	text := func(b []byte, s string) []byte { return wire.AppendString(b, s) }
	for _, c := range []struct {
		name      string
		in        []byte
		id        wire.ServerID
		addresses []string
		err       string
	}{
		{name: "3.4", in: long(3), id: 3},
		{name: "version 1", in: text(long(-65536, 3), "zk3:3888"), id: 3, addresses: []string{"zk3:3888"}},
		{name: "IPv6", in: text(long(-65536, 3), "[2001:db8::3]:3888"), id: 3, addresses: []string{"[2001:db8::3]:3888"}},
		{name: "version 2", in: text(long(-65535, 3), "a:1|b:2"), id: 3, addresses: []string{"a:1", "b:2"}},
		{name: "wildcards", in: text(long(-65535, 3), "0.0.0.0:1|[::]:1|b:2"), id: 3, addresses: []string{"b:2"}},
		{name: "longest", in: text(long(-65536, 3), strings.Repeat("a", 2046)+":1"), id: 3,
			addresses: []string{strings.Repeat("a", 2046) + ":1"}},
		{name: "other version", in: text(long(-65534, 3), "b:2"), err: "protocol version"},
		{name: "negative id", in: text(long(-65536, -3), "b:2"), err: "server id -3"},
		{name: "no address", in: text(long(-65536, 3), ""), err: "address of 0 bytes"},
		{name: "too long", in: text(long(-65536, 3), strings.Repeat("a", 2047)+":1"), err: "address of 2049 bytes"},
		{name: "negative length", in: wire.AppendInt32(long(-65536, 3), -1), err: "address of -1 bytes"},
		{name: "no port", in: text(long(-65536, 3), "zk3"), err: "missing port"},
		{name: "port 0", in: text(long(-65536, 3), "zk3:0"), err: "no port"},
		{name: "large port", in: text(long(-65536, 3), "zk3:65536"), err: "no port"},
		{name: "cut off", in: text(long(-65536, 3), "zk3:3888")[:25], err: "EOF"},
		{name: "nothing", err: "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := readGreeting(bytes.NewReader(c.in))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v instead of %q", err, c.err)
				}
				return
			}
			if err != nil || g.id != c.id || !slices.Equal(g.addresses, c.addresses) {
				t.Fatalf("read %+v, %v", g, err)
			}
		})
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(appendGreeting(nil, 3, "zk3:3888"))
	f.Add(appendGreeting(nil, 3, "a:1|0.0.0.0:2"))
	f.Add(wire.AppendInt64(nil, 3))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: zk3\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(append(b, "and more"...))
		g, err := readGreeting(in)
		if err != nil {
			return
		}
		if g.id < 0 {
			t.Errorf("server id %d", g.id)
		}
		for _, address := range g.addresses {
			if usable, err := checkAddress(address); !usable || err != nil {
				t.Errorf("address %q: %v", address, err)
			}
		}
		// Nothing behind the greeting belongs to it: cut there, it reads the same.
		used := len(b) + len("and more") - in.Len()
		again, err := readGreeting(io.LimitReader(bytes.NewReader(append(b, "and more"...)), int64(used)))
		if err != nil || again.id != g.id || !slices.Equal(again.addresses, g.addresses) {
			t.Errorf("read %+v, then %+v, %v", g, again, err)
		}
	})
}
