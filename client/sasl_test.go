package client

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zkctl/zkctl/wire"
)

// mechanism answers each challenge with itself and a mark, and is done after the second. It wants no challenge of "bad".
type mechanism struct{ steps int }

func (m *mechanism) Step(challenge []byte) ([]byte, bool, error) {
	if string(challenge) == "bad" {
		return nil, false, errors.New("bad")
	}
	m.steps++
	return append(slices.Clone(challenge), '!'), m.steps > 2, nil
}

// TestSASL authenticates before anything else is sent.
func TestSASL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		c := e.connect("a", Options{SASL: func() SASL { return new(mechanism) }})
		c.AddAuth("digest", []byte("u:p"))
		synced := background(func() error { return c.Sync(ctx, "/") })
		p := <-e.dialed
		p.accept(session)
		for _, step := range [][2]string{{"!", "one"}, {"one!", "two"}} {
			h, d := p.next()
			if token := d.Buffer(); h.Type != wire.OpSASL || string(token) != step[0] {
				t.Errorf("%+v %q", h, token)
			}
			p.answer(wire.XidPing, 0, 0, nil) // may come any time
			p.answer(h.Xid, 0, 0, wire.AppendBuffer(nil, []byte(step[1])))
		}
		if h, _ := p.next(); h.Type != wire.OpAuth {
			t.Errorf("%+v", h)
		}
		h, _ := p.next()
		p.answer(h.Xid, 1, 0, wire.AppendString(nil, "/"))
		if err := <-synced; err != nil {
			t.Error(err)
		}
		c.Disconnect()
		if got := e.heard(); !slices.Contains(got, "WatchedEvent state:SaslAuthenticated type:None path:null") {
			t.Error(got)
		}
	})
}

// TestSASLRefused by either side.
func TestSASLRefused(t *testing.T) {
	for _, code := range []wire.ErrCode{wire.ErrOK, wire.ErrAuthFailed, wire.ErrSessionClosedRequireSASL} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnsemble(t)
			c := e.connect("a", Options{SASL: func() SASL { return new(mechanism) }})
			synced := background(func() error { return c.Sync(ctx, "/") })
			p := <-e.dialed
			p.accept(session)
			h, _ := p.next()
			p.answer(h.Xid, 0, code, wire.AppendBuffer(nil, []byte("bad")))
			if err := <-synced; Code(err) != wire.ErrAuthFailed {
				t.Error(err)
			}
			<-c.ended
			if got := e.heard(); c.State() != AuthFailed || !slices.Contains(got, "WatchedEvent state:AuthFailed type:None path:null") {
				t.Error(c.State(), got)
			}
		})
	}
	for name, b := range map[string][]byte{"a reply to nothing": wire.ReplyHeader{Xid: 99}.Append(nil), "no header": {1}} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnsemble(t)
			c := e.connect("a", Options{SASL: func() SASL { return new(mechanism) }})
			p := <-e.dialed
			p.accept(session)
			p.next()
			p.send(b)
			if _, err := readFrame(p.conn, 100); err == nil {
				t.Errorf("%s: the connection stays", name)
			}
			c.Disconnect()
		})
	}
}
