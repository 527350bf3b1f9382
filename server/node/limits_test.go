package node_test

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/throttle"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

func TestConnectionThrottle(t *testing.T) {
	s := newServer(t, func(c *node.Config) {
		c.ConnectionThrottle = throttle.Default
		c.ConnectionThrottle.Tokens, c.ConnectionThrottle.FillTime = 2, time.Second
	})
	s.open(1)
	s.open(2)
	id := s.n.Tree().Sessions()[0].ID
	back := wire.ConnectRequest{SessionID: id, Passwd: passwordOf(id)}
	s.expect(s.connect(3, back), "3:closed") // its old connection goes on
	s.expect(s.ask(1, 1, wire.OpPing, nil), "1:-2")
	s.now.Mono += 1100 * time.Millisecond
	s.expect(s.connect(4, back), "1:closed", "4:hello")
	s.expect(s.connect(5, wire.ConnectRequest{}), "5:closed")
}

func TestQuotas(t *testing.T) {
	s := newServer(t, func(c *node.Config) { c.EnforceQuota = true })
	s.open(1)
	do := func(xid int32, op wire.OpCode, body []byte) (seen []string, excesses []tree.QuotaExcess) {
		s.n.Step(s.now, node.ClientRequest{Client: 1, Header: wire.RequestHeader{Xid: xid, Type: op}, Body: body})
		for _, e := range s.n.Effects(nil) {
			switch e := e.(type) {
			case node.Append:
				s.logged = e.ID
			case node.QuotaExceeded:
				excesses = append(excesses, e.QuotaExcess)
			}
		}
		return s.sync(), excesses
	}
	for xid, path := range []string{"/q", "/zookeeper/quota/q", "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"} {
		data := map[string]string{
			"/zookeeper/quota/q/zookeeper_limits": "count=2,bytes=-1=;byteHardLimit=5",
			"/zookeeper/quota/q/zookeeper_stats":  "count=1,bytes=0",
		}[path]
		do(int32(xid), wire.OpCreate, wire.CreateRequest{Path: path, Data: []byte(data), ACL: wire.OpenACL()}.Append(nil))
	}
	set := func(data string) []byte {
		return wire.SetDataRequest{Path: "/q", Data: []byte(data), Version: -1}.Append(nil)
	}
	if seen, excesses := do(10, wire.OpSetData, set("12345")); seen[0] != "1:10" || len(excesses) != 0 {
		t.Errorf("at the limit: %q %v", seen, excesses)
	}
	seen, excesses := do(11, wire.OpSetData, set("123456"))
	if want := (tree.QuotaExcess{Path: "/q", Bytes: true, Use: 6, Limit: 5, Hard: true}); seen[0] != "1:11(-125)" || len(excesses) != 1 || excesses[0] != want {
		t.Errorf("beyond the hard limit: %q %v", seen, excesses)
	}
	do(12, wire.OpCreate, create("/q/a"))
	seen, excesses = do(13, wire.OpCreate, create("/q/b"))
	if want := (tree.QuotaExcess{Path: "/q", Use: 3, Limit: 2}); seen[0] != "1:13" || len(excesses) != 1 || excesses[0] != want {
		t.Errorf("beyond the soft limit: %q %v", seen, excesses)
	}
}

func TestQuotasAreNotEnforcedUnlessWanted(t *testing.T) {
	s := newServer(t)
	s.open(1)
	for xid, path := range []string{"/q", "/zookeeper/quota/q", "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats", "/q/a"} {
		s.ask(1, int32(xid), wire.OpCreate, wire.CreateRequest{Path: path, Data: []byte("count=1,bytes=1=;countHardLimit=1"), ACL: wire.OpenACL()}.Append(nil))
	}
	s.expect(s.sync(), "1:0", "1:1", "1:2", "1:3", "1:4")
}
