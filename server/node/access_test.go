package node_test

import (
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

func withSASL(cfg *node.Config) {
	cfg.Auth.SASL = auth.SASLOptions{
		Password: func(user string) (string, bool) { return "b", user == "bob" }, Nonce: func() string { return "nonce" },
	}
	cfg.Auth.Schemes = []auth.Scheme{auth.SASL("")}
}

func enforcing(schemes ...string) func(*node.Config) {
	return func(cfg *node.Config) { cfg.Auth.Enforced = schemes }
}

func token(text string) []byte { return wire.AppendBuffer(nil, []byte(text)) }

// proof is the token of bob's client.
func proof(t *testing.T, password string) []byte {
	t.Helper()
	response, err := sasl.NewClient("zookeeper", "zk-sasl-md5", "bob", password, "c").Respond(
		[]byte(`realm="zk-sasl-md5",nonce="nonce",charset=utf-8,algorithm=md5-sess`))
	if err != nil {
		t.Fatal(err)
	}
	return token(string(response))
}

func digestPacket(userPassword string) []byte {
	return wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "digest"), []byte(userPassword))
}

// refusals are the reasons for which clients are refused from here on.
func (s *server) refusals(in node.Input) []string {
	s.n.Step(s.now, in)
	var reasons []string
	for _, e := range s.n.Effects(nil) {
		if e, ok := e.(node.ClientRefused); ok {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

func TestSASLExchange(t *testing.T) {
	s := newServer(t, withSASL)
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpSASL, token("")), "1:1")
	s.ask(1, 2, wire.OpCreate, create("/before")) // waits for the disk
	s.expect(s.ask(1, 3, wire.OpSASL, proof(t, "b")))
	s.ask(1, 4, wire.OpCreate, wire.CreateRequest{Path: "/mine", ACL: []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}}}.Append(nil))
	s.expect(s.sync(), "1:2", "1:3", "1:4")
	s.open(2)
	s.expect(s.ask(2, 1, wire.OpGetData, wire.ReadRequest{Path: "/mine"}.Append(nil)), "2:1(-102)")
	s.expect(s.ask(1, 5, wire.OpGetData, wire.ReadRequest{Path: "/mine"}.Append(nil)), "1:5")
}

func TestFailedSASL(t *testing.T) {
	s := newServer(t, withSASL)
	s.open(1)
	s.ask(1, 1, wire.OpSASL, token(""))
	s.expect(s.ask(1, 2, wire.OpSASL, proof(t, "wrong")), "1:2(-115)", "1:closed")
	s.expect(s.ask(1, 3, wire.OpGetData, wire.ReadRequest{Path: "/"}.Append(nil)))
	s.open(2)
	s.expect(s.ask(2, 1, wire.OpSASL, wire.AppendBuffer(nil, nil)), "2:closed")
	s.open(3)
	s.expect(s.ask(3, 1, wire.OpSASL, []byte{0, 0, 0, 9}), "3:closed")
	s.open(4)
	s.ask(4, 1, wire.OpSASL, token(""))
	reasons := s.refusals(node.ClientRequest{Client: 4, Header: wire.RequestHeader{Xid: 2, Type: wire.OpSASL}, Body: proof(t, "wrong")})
	if len(reasons) != 1 || !strings.Contains(reasons[0], `"bob"`) || strings.Contains(reasons[0], "wrong\"") {
		t.Errorf("reasons are %q", reasons)
	}

	s = newServer(t, withSASL, func(cfg *node.Config) { cfg.Auth.SASL.AllowFailed = true })
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpSASL, token("")), "1:1")
	s.expect(s.ask(1, 1, wire.OpSASL, token("x")), "1:1")
	s.expect(s.ask(1, 2, wire.OpGetData, wire.ReadRequest{Path: "/"}.Append(nil)), "1:2")

	s = newServer(t, withSASL, enforcing("sasl"))
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpSASL, token("")), "1:1")
	s.expect(s.ask(1, 2, wire.OpSASL, token("x")), "1:2(-124)", "1:closed")
}

func TestEnforcedAuthentication(t *testing.T) {
	s := newServer(t, withSASL, enforcing("digest", "sasl"))
	for _, op := range []wire.OpCode{
		wire.OpGetData, wire.OpCreate, wire.OpPing, wire.OpCloseSession, wire.OpSync, wire.OpWhoAmI, wire.OpSetWatches, 999,
	} {
		s.open(1)
		header := wire.RequestHeader{Xid: 7, Type: op}
		if _, ok := s.n.Read(1, header, nil); ok {
			t.Errorf("%v is read without authentication", op)
		}
		s.expect(s.ask(1, 7, op, nil), "1:7(-124)", "1:closed")
	}
	s.open(1)
	if reasons := s.refusals(node.ClientRequest{Client: 1, Header: wire.RequestHeader{Type: wire.OpPing}}); len(reasons) != 1 {
		t.Errorf("reasons are %q", reasons)
	}
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpAuth, digestPacket("alice:a")), "1:1")
	header := wire.RequestHeader{Xid: 2, Type: wire.OpGetData}
	if _, ok := s.n.Read(1, header, wire.ReadRequest{Path: "/"}.Append(nil)); !ok {
		t.Error("a client that has authenticated itself may not read")
	}
	s.ask(1, 3, wire.OpCreate, create("/a"))
	s.expect(s.sync(), "1:3")
	s.open(2)
	s.expect(s.ask(2, 1, wire.OpSASL, token("")), "2:1")
	s.expect(s.ask(2, 2, wire.OpSASL, proof(t, "b")), "2:2")
	s.expect(s.ask(2, 3, wire.OpPing, nil), "2:-2")
}

// A client that means another ensemble is let go without an answer, so that it tries the next server.
func TestOtherEnsemble(t *testing.T) {
	s := newServer(t, func(cfg *node.Config) {
		cfg.Auth.Schemes = []auth.Scheme{auth.Ensemble([]string{"east"}, metrics.New())}
	})
	packet := func(name string) []byte {
		return wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "ensemble"), []byte(name))
	}
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpAuth, packet("east")), "1:1")
	s.expect(s.ask(1, 2, wire.OpAuth, packet("west")), "1:closed")
}

// The provider "key" looks at the tree.
func TestKeyInTheTree(t *testing.T) {
	s := newServer(t, func(cfg *node.Config) { cfg.Auth.Schemes = []auth.Scheme{auth.Key()} })
	packet := func(number string) []byte {
		return wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "key"), []byte(number))
	}
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpAuth, packet("8")), "1:1")
	s.ask(1, 2, wire.OpCreate, wire.CreateRequest{Path: "/key", Data: []byte("7"), ACL: wire.OpenACL()}.Append(nil))
	s.expect(s.sync(), "1:2")
	s.expect(s.ask(1, 3, wire.OpAuth, packet("14")), "1:3")
	s.expect(s.ask(1, 4, wire.OpAuth, packet("8")), "1:4(-115)", "1:closed")
}

// What the access lists forbid does not go to the leader, takes no zxid, and is answered in its turn.
func TestEagerACLCheck(t *testing.T) {
	everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
		e.connect(id, 1, wire.ConnectRequest{})
		e.took()
		readOnly := []wire.ACL{{Perms: wire.PermRead, ID: wire.AnyoneID}}
		e.ask(id, 1, 1, wire.OpCreate, wire.CreateRequest{Path: "/shut", ACL: readOnly}.Append(nil))
		e.expect("1:1")
		before := e.nodes[id].Tree().LastZxid()
		e.ask(id, 1, 2, wire.OpSetData, wire.SetDataRequest{Path: "/shut", Version: -1}.Append(nil))
		e.expect("1:2(-102)")
		if zxid := e.nodes[id].Tree().LastZxid(); zxid != before {
			t.Errorf("the refusal is txn %v", zxid)
		}
		e.ask(id, 1, 3, wire.OpSetData, wire.SetDataRequest{Path: "/none", Version: -1}.Append(nil))
		e.expect("1:3(-101)")
	}, func(c *node.Config) { c.EagerACLCheck = true })
}
