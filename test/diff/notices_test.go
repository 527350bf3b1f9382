//go:build diff

package diff

import (
	"slices"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// TestNotices: a single bit that is wrong in a single answer of zkserver is reported, whichever it is.
func TestNotices(t *testing.T) {
	p := servers(t, 1)
	p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
	s := &script{t: t, pair: p}
	s.open(0, 1)
	s.create(0, "/n", "data")
	s.create(0, "/n/c", "")
	s.look(0, "/n")
	steps := []step{
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpGetData}, body: read("/n", false)},
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpGetChildren2}, body: read("/n", false)},
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpGetACL}, body: onlyPath("/n")},
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpExists}, body: read("/none", false)},
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpWhoAmI}},
		{request: &wire.RequestHeader{Xid: 7, Type: wire.OpMultiRead},
			body: body{}.part(wire.OpGetData, read("/n", false)).part(wire.OpGetChildren, read("/none", false)).end()},
	}
	for _, st := range steps {
		for at := 0; ; at++ {
			length := p.flip(at)
			_, err := p.play(st)
			p.ours.lies = nil
			if at >= *length {
				if err != nil {
					t.Errorf("%v: without a lie: %v", st, err)
				}
				break
			}
			if err == nil {
				t.Errorf("%v: byte %d of %d was wrong and nobody noticed", st, at, *length)
			}
			p.ours.last = p.theirs.last // which a lie may have moved
		}
	}
	// Events: one that says something else, and one too many.
	watch := func() { s.ask(1, wire.OpGetData, read("/n", true)) }
	change := step{request: &wire.RequestHeader{Xid: 8, Type: wire.OpSetData}, body: setData("/n", nil, -1)}
	for name, lie := range map[string]func([]byte) []byte{
		"type":  func(b []byte) []byte { b[19]++; return b },
		"state": func(b []byte) []byte { b[23]++; return b },
		"path":  func(b []byte) []byte { b[len(b)-1]++; return b },
		"more":  func(b []byte) []byte { return append(b, 0) },
	} {
		watch()
		p.ours.lies = func(_ wire.OpCode, b []byte) []byte {
			if len(b) > 16 && wire.NewDecoder(b).Int32() == wire.XidWatch {
				return lie(slices.Clone(b))
			}
			return b
		}
		if _, err := p.play(change); err == nil {
			t.Errorf("the %s of an event was wrong and nobody noticed", name)
		}
		p.ours.lies = nil
	}
	p.ours.conns[1].write(framed(nil, wire.RequestHeader{Xid: 9, Type: wire.OpGetData}, read("/n", true))) // only here
	if _, err := p.play(change); err == nil {
		t.Error("an event too many and nobody noticed")
	}
}

// flip makes zkserver's next reply wrong at one byte, if it is as long as that; the result tells how long it is.
func (p *pair) flip(at int) (length *int) {
	length = new(int)
	p.ours.lies = func(_ wire.OpCode, b []byte) []byte {
		if *length > 0 {
			return b
		}
		*length = len(b)
		b = slices.Clone(b)
		if at < len(b) {
			b[at] ^= 1
		}
		return b
	}
	return length
}
