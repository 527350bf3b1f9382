package node_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// audited are the lines of the audit log of what the disk lets go, with blanks for tabs and without the session.
func (s *server) audited() []string {
	id := s.logged
	s.logged = 0
	s.n.Step(s.now, node.StorageDone{ID: id})
	var lines []string
	for _, e := range s.n.Effects(nil) {
		if a, ok := e.(node.Audited); ok {
			a.Event.Session = ""
			lines = append(lines, strings.ReplaceAll(a.Event.String(), "\t", " "))
		}
	}
	return lines
}

func (s *server) expectAudit(want ...string) {
	s.t.Helper()
	if got := s.audited(); !slices.Equal(got, want) {
		s.t.Fatalf("the audit log has %q, want %q", got, want)
	}
}

func TestAudit(t *testing.T) {
	s := newServer(t, func(c *node.Config) { c.Audit = true })
	s.open(1)
	s.ask(1, 1, wire.OpAuth, digestPacket("alice:a"))
	s.ask(1, 2, wire.OpCreate, create("/a"))
	s.ask(1, 3, wire.OpCreate, create("/a"))
	s.ask(1, 4, wire.OpAuth, digestPacket("bob:b")) // too late for those on their way
	s.ask(1, 5, wire.OpCreate, ephemeral("/e"))
	s.ask(1, 6, wire.OpGetData, wire.ReadRequest{Path: "/a"}.Append(nil))
	s.expectAudit(
		"user=127.0.0.1,alice ip=127.0.0.1 operation=create znode=/a znode_type=persistent result=success",
		"user=127.0.0.1,alice ip=127.0.0.1 operation=create znode=/a znode_type=persistent result=failure",
		"user=127.0.0.1,alice,bob ip=127.0.0.1 operation=create znode=/e znode_type=ephemeral result=success",
	)
	s.ask(1, 7, wire.OpCreate, create("/gone"))
	s.step(node.ClientClosed{Client: 1}) // nobody is told any more what became of it
	s.expectAudit()
	s.open(2)
	s.ask(2, 1, wire.OpCreate, ephemeral("/e2"))
	s.expectAudit("user=127.0.0.1 ip=127.0.0.1 operation=create znode=/e2 znode_type=ephemeral result=success")
	s.ask(2, 2, wire.OpCloseSession, nil)
	s.expectAudit("operation=ephemeralZNodeDeletionOnSessionCloseOrExpire znode=/e2 result=success")
}

// Without the setting nothing is said.
func TestNoAudit(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.ask(1, 1, wire.OpCreate, ephemeral("/e"))
	s.expectAudit()
	s.ask(1, 2, wire.OpCloseSession, nil)
	s.expectAudit()
}
