package client

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// TestOperations sends each request through a chroot and decodes its reply.
func TestOperations(t *testing.T) {
	stat := wire.Stat{Czxid: 1, Version: 2, NumChildren: 3}
	acl := []wire.ACL{{Perms: wire.PermRead, ID: wire.ID{Scheme: "ip", ID: "::1"}}}
	members := "server.1=a:1:2;3"
	for _, test := range []struct {
		name  string
		call  func(*Client) (any, error)
		op    wire.OpCode
		body  []byte
		reply []byte
		want  any
	}{
		{"create", func(c *Client) (any, error) { return c.Create(ctx, "/n", []byte("x"), acl, wire.FlagSequential, 0) }, wire.OpCreate,
			wire.CreateRequest{Path: "/root/n", Data: []byte("x"), ACL: acl, Flags: 2}.Append(nil), wire.AppendString(nil, "/root/n0001"), "/n0001"},
		{"create a name that is all number", func(c *Client) (any, error) { return c.Create(ctx, "/", nil, acl, wire.FlagEphemeralSequential, 0) }, wire.OpCreate,
			wire.CreateRequest{Path: "/root", ACL: acl, Flags: 3}.Append(nil), wire.AppendString(nil, "/root/0001"), "/0001"},
		{"container", func(c *Client) (any, error) { return c.Create(ctx, "/n", nil, acl, wire.FlagContainer, 0) }, wire.OpCreateContainer,
			wire.CreateRequest{Path: "/root/n", ACL: acl, Flags: 4}.Append(nil), wire.AppendString(nil, "/root/n"), "/n"},
		{"ttl", func(c *Client) (any, error) { return c.Create(ctx, "/n", nil, acl, wire.FlagPersistentTTL, second) }, wire.OpCreateTTL,
			wire.CreateTTLRequest{CreateRequest: wire.CreateRequest{Path: "/root/n", ACL: acl, Flags: 5}, TTL: 1000}.Append(nil), wire.AppendString(nil, "/root/n"), "/n"},
		{"delete", func(c *Client) (any, error) { return nil, c.Delete(ctx, "/n", 4) }, wire.OpDelete,
			wire.VersionRequest{Path: "/root/n", Version: 4}.Append(nil), nil, nil},
		{"delete the root", func(c *Client) (any, error) { return nil, c.Delete(ctx, "/", -1) }, wire.OpDelete,
			wire.VersionRequest{Path: "/", Version: -1}.Append(nil), nil, nil},
		{"exists", func(c *Client) (any, error) { s, err := c.Exists(ctx, "/", false); return *s, err }, wire.OpExists,
			wire.ReadRequest{Path: "/root"}.Append(nil), stat.Append(nil), stat},
		{"get", func(c *Client) (any, error) { d, s, err := c.Get(ctx, "/n", true); return []any{d, s}, err }, wire.OpGetData,
			wire.ReadRequest{Path: "/root/n", Watch: true}.Append(nil), stat.Append(wire.AppendBuffer(nil, nil)), []any{[]byte(nil), stat}},
		{"children", func(c *Client) (any, error) { n, s, err := c.Children(ctx, "/n", false); return []any{n, s}, err }, wire.OpGetChildren2,
			wire.ReadRequest{Path: "/root/n"}.Append(nil), stat.Append(wire.AppendStrings(nil, []string{"b", "a"})), []any{[]string{"b", "a"}, stat}},
		{"set", func(c *Client) (any, error) { return c.Set(ctx, "/n", nil, -1) }, wire.OpSetData,
			wire.SetDataRequest{Path: "/root/n", Version: -1}.Append(nil), stat.Append(nil), stat},
		{"getACL", func(c *Client) (any, error) { a, s, err := c.GetACL(ctx, "/n"); return []any{a, s}, err }, wire.OpGetACL,
			wire.PathRequest{Path: "/root/n"}.Append(nil), stat.Append(wire.AppendACLs(nil, acl)), []any{acl, stat}},
		{"setACL", func(c *Client) (any, error) { return c.SetACL(ctx, "/n", acl, 7) }, wire.OpSetACL,
			wire.SetACLRequest{Path: "/root/n", ACL: acl, Version: 7}.Append(nil), stat.Append(nil), stat},
		{"sync", func(c *Client) (any, error) { return nil, c.Sync(ctx, "/n") }, wire.OpSync,
			wire.PathRequest{Path: "/root/n"}.Append(nil), wire.AppendString(nil, "/root/n"), nil},
		{"count", func(c *Client) (any, error) { return c.CountAll(ctx, "/") }, wire.OpGetAllChildrenNumber,
			wire.PathRequest{Path: "/root"}.Append(nil), wire.AppendInt32(nil, 12), int32(12)},
		{"ephemerals", func(c *Client) (any, error) { return c.Ephemerals(ctx, "/e") }, wire.OpGetEphemerals,
			wire.PathRequest{Path: "/e"}.Append(nil), wire.AppendStrings(nil, []string{"/root/e"}), []string{"/root/e"}},
		{"whoami", func(c *Client) (any, error) { return c.WhoAmI(ctx) }, wire.OpWhoAmI, []byte{},
			wire.AppendString(wire.AppendString(wire.AppendInt32(nil, 1), "ip"), "::1"), []wire.ClientInfo{{AuthScheme: "ip", User: "::1"}}},
		{"config", func(c *Client) (any, error) { d, s, err := c.Config(ctx, true); return []any{d, s}, err }, wire.OpGetData,
			wire.ReadRequest{Path: "/zookeeper/config", Watch: true}.Append(nil), stat.Append(wire.AppendBuffer(nil, []byte("c"))), []any{[]byte("c"), stat}},
		{"reconfig", func(c *Client) (any, error) {
			d, s, err := c.Reconfig(ctx, wire.ReconfigRequest{NewMembers: &members, ConfigID: -1})
			return []any{d, s}, err
		}, wire.OpReconfig, wire.ReconfigRequest{NewMembers: &members, ConfigID: -1}.Append(nil),
			stat.Append(wire.AppendBuffer(nil, []byte("c"))), []any{[]byte("c"), stat}},
		{"addWatch", func(c *Client) (any, error) { return nil, c.AddWatch(ctx, "/", wire.AddWatchPersistentRecursive) }, wire.OpAddWatch,
			wire.WatchRequest{Path: "/root", Type: 1}.Append(nil), nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnsemble(t)
				c := e.connect("a/root", Options{})
				defer c.Disconnect()
				p := <-e.dialed
				p.accept(session)
				done := background(func() error {
					got, err := test.call(c)
					if !reflect.DeepEqual(got, test.want) {
						t.Errorf("%v instead of %v", got, test.want)
					}
					return err
				})
				h, d := p.next()
				if h.Type != test.op || h.Xid != 1 || !slices.Equal(d.Rest(), test.body) {
					t.Errorf("request %v %d %q instead of %v %q", h.Type, h.Xid, d.Rest(), test.op, test.body)
				}
				p.answer(h.Xid, 1, 0, test.reply)
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReplies that are errors, or too short.
func TestReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		c := e.connect("a", Options{})
		defer c.Disconnect()
		p := <-e.dialed
		p.accept(session)
		for _, test := range []struct {
			code wire.ErrCode
			body []byte
			want string
		}{
			{wire.ErrNoNode, nil, "KeeperErrorCode = NoNode for /a"},
			{wire.ErrCode(-77), nil, "KeeperErrorCode = Unknown error for /a"},
			{0, []byte{0, 0, 0, 9}, "KeeperErrorCode = MarshallingError for /a"},
		} {
			done := background(func() error { _, _, err := c.Get(ctx, "/a", false); return err })
			h, _ := p.next()
			p.answer(h.Xid, 1, test.code, test.body)
			if err := <-done; err == nil || err.Error() != test.want {
				t.Errorf("%v instead of %s", err, test.want)
			}
		}
		results := wire.AppendInt32(wire.MultiHeader{Type: wire.OpError, Err: wire.ErrNotEmpty}.Append(nil), int32(wire.ErrNotEmpty))
		results = wire.AppendInt32(wire.MultiHeader{Type: wire.OpError, Err: -2}.Append(results), -2)
		for want, body := range map[wire.ErrCode][]byte{
			wire.ErrNotEmpty:    wire.MultiEnd.Append(results),
			wire.ErrOK:          wire.MultiEnd.Append(wire.MultiHeader{Type: wire.OpDelete}.Append(nil)),
			wire.ErrMarshalling: results,
		} {
			done := background(func() error { return c.DeleteTogether(ctx, []string{"/a", "/b"}) })
			h, d := p.next()
			if rest := d.Rest(); h.Type != wire.OpMulti || strings.Count(string(rest), "/") != 2 {
				t.Errorf("%v %q", h.Type, rest)
			}
			p.answer(h.Xid, 1, 0, body)
			if err := <-done; Code(err) != want {
				t.Errorf("%v instead of %v", err, want)
			}
		}
	})
}

// TestNothingIsSent for paths and lists that are wrong by themselves.
func TestNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newEnsemble(t).connect("a", Options{})
		defer c.Disconnect()
		for name, call := range map[string]func(path string) error{
			"create":     func(p string) error { _, err := c.Create(ctx, p, nil, wire.OpenACL(), 0, 0); return err },
			"delete":     func(p string) error { return c.Delete(ctx, p, 0) },
			"together":   func(p string) error { return c.DeleteTogether(ctx, []string{"/a", p}) },
			"exists":     func(p string) error { _, err := c.Exists(ctx, p, false); return err },
			"get":        func(p string) error { _, _, err := c.Get(ctx, p, false); return err },
			"children":   func(p string) error { _, _, err := c.Children(ctx, p, false); return err },
			"set":        func(p string) error { _, err := c.Set(ctx, p, nil, 0); return err },
			"getACL":     func(p string) error { _, _, err := c.GetACL(ctx, p); return err },
			"setACL":     func(p string) error { _, err := c.SetACL(ctx, p, wire.OpenACL(), 0); return err },
			"sync":       func(p string) error { return c.Sync(ctx, p) },
			"count":      func(p string) error { _, err := c.CountAll(ctx, p); return err },
			"ephemerals": func(p string) error { _, err := c.Ephemerals(ctx, p); return err },
			"addWatch":   func(p string) error { return c.AddWatch(ctx, p, 0) },
			"remove":     func(p string) error { return c.RemoveWatches(ctx, p, 3, false) },
		} {
			if err := call("/a//b"); !IsArgument(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.Create(ctx, "/a", nil, nil, 0, 0); Code(err) != wire.ErrInvalidACL {
			t.Errorf("create without an ACL: %v", err)
		}
		if _, err := c.SetACL(ctx, "/a", nil, 0); Code(err) != wire.ErrInvalidACL {
			t.Errorf("setACL without an ACL: %v", err)
		}
	})
}

// TestReconnection moves a session to another server: what was sent is lost, what waits is not, and credentials and
// watches come first.
func TestReconnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		c := e.connect("a,b/root", Options{SessionTimeout: 6 * second})
		p := <-e.dialed
		if q := p.accept(session); q.SessionID != 0 || q.TimeOut != 6000 || len(q.Passwd) != 16 || q.LastZxidSeen != 0 || !q.HasReadOnly || q.ReadOnly {
			t.Errorf("%+v", q)
		}
		c.AddAuth("digest", []byte("u:p"))
		if h, _ := p.next(); h.Type != wire.OpAuth || h.Xid != wire.XidAuth {
			t.Errorf("%+v", h)
		}
		p.answer(wire.XidAuth, 0, 0, nil)
		for _, watch := range []func() error{
			func() error { _, _, err := c.Get(ctx, "/data", true); return err },
			func() error { _, err := c.Exists(ctx, "/there", true); return err },
			func() error { _, err := c.Exists(ctx, "/not", true); return err },
			func() error { _, _, err := c.Children(ctx, "/", true); return err },
			func() error { return c.AddWatch(ctx, "/p", wire.AddWatchPersistent) },
			func() error { return c.AddWatch(ctx, "/r", wire.AddWatchPersistentRecursive) },
			func() error { _, _, err := c.Get(ctx, "/none", true); return err },
		} {
			done := background(watch)
			h, d := p.next()
			code := wire.ErrOK
			if path := d.String(); path == "/root/not" || path == "/root/none" {
				code = wire.ErrNoNode
			}
			body := wire.Stat{}.Append(nil)
			switch h.Type {
			case wire.OpGetData:
				body = wire.Stat{}.Append(wire.AppendBuffer(nil, nil))
			case wire.OpGetChildren2:
				body = wire.Stat{}.Append(wire.AppendStrings(nil, nil))
			}
			p.answer(h.Xid, 77, code, body)
			if err := <-done; err != nil && code == wire.ErrOK {
				t.Error(err)
			}
		}
		sent := background(func() error { return c.Sync(ctx, "/") })
		p.next()
		p.conn.Close()
		if err := <-sent; Code(err) != wire.ErrConnectionLoss {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if s := c.State(); s != Connecting {
			t.Error(s)
		}
		waiting := background(func() error { return c.Sync(ctx, "/") })
		p2 := <-e.dialed
		if p2.address == p.address {
			t.Errorf("it connects to %s again", p.address)
		}
		if q := p2.accept(session); q.SessionID != session.SessionID || q.LastZxidSeen != 77 || !slices.Equal(q.Passwd, session.Passwd) {
			t.Errorf("%+v", q)
		}
		if h, d := p2.next(); h.Type != wire.OpAuth || string(d.Rest()) != string((wire.AuthPacket{Scheme: "digest", Auth: []byte("u:p")}.Append(nil))) {
			t.Errorf("%+v", h)
		}
		h, d := p2.next()
		var again wire.SetWatchesRequest
		again.Decode(d, wire.OpSetWatches2)
		want := wire.SetWatchesRequest{RelativeZxid: 77, Data: []string{"/root/data", "/root/there"}, Exist: []string{"/root/not"},
			Child: []string{"/root"}, Persistent: []string{"/root/p"}, PersistentRecursive: []string{"/root/r"}}
		if h.Type != wire.OpSetWatches2 || h.Xid != wire.XidSetWatches || !reflect.DeepEqual(again, want) {
			t.Errorf("%+v %+v", h, again)
		}
		p2.answer(wire.XidSetWatches, 78, 0, nil)
		h, _ = p2.next()
		p2.answer(h.Xid, 78, 0, wire.AppendString(nil, "/root"))
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		p2.event(wire.NodeCreated, "/root/not")
		p2.event(wire.NodeDataChanged, "/root/r/below/that")
		p2.event(wire.NodeDataChanged, "/root/nobody/asked")
		closed := background(func() error { c.Close(ctx); return nil })
		if h, _ = p2.next(); h.Type != wire.OpCloseSession {
			t.Errorf("%+v", h)
		}
		if err := c.Sync(ctx, "/"); err == nil {
			t.Error("a request after closeSession succeeds")
		}
		p2.answer(h.Xid, 79, 0, nil)
		p2.conn.Close()
		<-closed
		if got, want := e.heard(), []string{
			"WatchedEvent state:SyncConnected type:None path:null", "WatchedEvent state:Disconnected type:None path:null",
			"WatchedEvent state:SyncConnected type:None path:null", "WatchedEvent state:SyncConnected type:NodeCreated path:/not",
			"WatchedEvent state:SyncConnected type:NodeDataChanged path:/r/below/that", "WatchedEvent state:Closed type:None path:null",
		}; !slices.Equal(got, want) {
			t.Errorf("events:\n%s", strings.Join(got, "\n"))
		}
		if err := c.Sync(ctx, "/"); Code(err) != wire.ErrSessionExpired || c.State() != Closed {
			t.Errorf("%v, %v", err, c.State())
		}
		c.Close(ctx) // once more is no harm
	})
}

// TestEnds are the ways in which a server ends a session.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		by    func(*ensemble, *Client, *peer)
		state State
		code  wire.ErrCode
		event string
	}{
		{"expired", func(e *ensemble, c *Client, p *peer) {
			p.conn.Close()
			(<-e.dialed).accept(wire.ConnectResponse{})
		}, Closed, wire.ErrSessionExpired, "Expired"},
		{"credentials refused", func(e *ensemble, c *Client, p *peer) {
			c.AddAuth("digest", nil)
			p.next()
			p.answer(wire.XidAuth, 0, wire.ErrAuthFailed, nil)
		}, AuthFailed, wire.ErrAuthFailed, "AuthFailed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnsemble(t)
				c := e.connect("a", Options{})
				p := <-e.dialed
				p.accept(session)
				sent := background(func() error { return c.Sync(ctx, "/") })
				p.next()
				test.by(e, c, p)
				if err := <-sent; err == nil {
					t.Error("a request survives")
				}
				<-c.ended // by itself
				if err := c.Sync(ctx, "/"); Code(err) != test.code || c.State() != test.state {
					t.Errorf("%v, %v", err, c.State())
				}
				if got := e.heard(); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "state:"+test.event) }) {
					t.Error(got)
				}
				c.AddAuth("digest", nil)
				c.Disconnect()
			})
		})
	}
}

// TestReadOnly accepts a server without a quorum, and leaves it for one that has one, without its session.
func TestReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		e.setDown(true, "b:2181")
		c := e.connect("a,b", Options{ReadOnly: true})
		p := <-e.dialed
		if p.address != "a:2181" {
			t.Fatal(p.address)
		}
		readOnly := session
		readOnly.ReadOnly = true
		if q := p.accept(readOnly); !q.ReadOnly {
			t.Error("it does not ask")
		}
		synctest.Wait()
		if s := c.State(); s != ConnectedReadOnly {
			t.Error(s)
		}
		for range 2 {
			if asked := <-e.dialed; asked.address == "a:2181" {
				asked.word("isro", "ro")
			} else {
				t.Fatal(asked.address)
			}
		}
		e.setDown(false, "b:2181")
		for {
			asked := <-e.dialed
			if asked.address == "b:2181" {
				asked.word("isro", "rw")
				break
			}
			asked.word("isro", "ro")
		}
		p2 := <-e.dialed
		if q := p2.accept(session); p2.address != "b:2181" || q.SessionID != 0 {
			t.Errorf("%s: %+v", p2.address, q)
		}
		synctest.Wait()
		if s := c.State(); s != Connected {
			t.Error(s)
		}
		c.Disconnect()
	})
}

// word answers a four-letter word.
func (p *peer) word(want, answer string) {
	p.t.Helper()
	b := make([]byte, 4)
	if _, err := p.conn.Read(b); err != nil || string(b) != want {
		p.t.Fatalf("%q, %v", b, err)
	}
	p.conn.Write([]byte(answer))
	p.conn.Close()
}

// TestUnreachable: a request fails when each server was tried once; attempts go on, a second after each round.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		e.setDown(true, "a:2181", "b:2181", "c:2181")
		c := e.connect("a,b,c", Options{})
		if err := c.Sync(ctx, "/"); Code(err) != wire.ErrConnectionLoss {
			t.Error(err)
		}
		began := time.Now()
		if err := c.Sync(ctx, "/"); Code(err) != wire.ErrConnectionLoss || time.Since(began) != second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		short, cancel := context.WithTimeout(ctx, second/4)
		defer cancel()
		if err := c.Sync(short, "/"); err != context.DeadlineExceeded {
			t.Error(err)
		}
		c.Close(ctx)
		if got := e.heard(); len(got) != 1 || !strings.Contains(got[0], "Closed") {
			t.Error(got)
		}
	})
}

// TestSilence: pings keep a quiet session, and a server that does not answer them is left.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		c := e.connect("a", Options{})
		p := <-e.dialed
		p.accept(session) // 9 s
		for range 3 {
			began := time.Now()
			if h := (wire.RequestHeader{Xid: wire.XidPing, Type: wire.OpPing}); string(p.frame()) != string(h.Append(nil)) {
				t.Error("no ping")
			}
			if waited := time.Since(began); waited != 3*second {
				t.Errorf("a ping after %v", waited)
			}
			p.answer(wire.XidPing, 0, 0, nil)
		}
		began := time.Now()
		for {
			if _, err := readFrame(p.conn, 100); err != nil {
				break
			}
		}
		if waited := time.Since(began); waited != 6*second {
			t.Errorf("it is left after %v", waited)
		}
		c.Disconnect()
	})
}

// TestMalformed: what no server sends costs the connection, and no more.
func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"nobody asked":    frame(wire.ReplyHeader{Xid: 9}.Append(nil)),
		"short header":    frame([]byte{1, 2}),
		"long frame":      wire.AppendInt32(nil, DefaultMaxReplyBytes+1),
		"negative length": wire.AppendInt32(nil, -1),
		"short event":     frame(wire.ReplyHeader{Xid: wire.XidWatch}.Append(nil)),
		"strange event":   frame(wire.WatcherEvent{Type: 9}.Append(wire.ReplyHeader{Xid: wire.XidWatch}.Append(nil))),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnsemble(t)
				c := e.connect("a", Options{})
				p := <-e.dialed
				p.accept(session)
				p.conn.Write(b)
				(<-e.dialed).accept(session)
				c.Disconnect()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		c := e.connect("a", Options{})
		p := <-e.dialed
		p.frame()
		p.send([]byte("no ConnectResponse")[:5])
		p = <-e.dialed
		p.accept(session)
		done := background(func() error { return c.Sync(ctx, "/") })
		h, _ := p.next()
		p.answer(h.Xid+1, 0, 0, nil)
		if err := <-done; Code(err) != wire.ErrConnectionLoss {
			t.Error(err)
		}
		c.Disconnect()
	})
}
