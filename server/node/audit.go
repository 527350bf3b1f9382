package node

import (
	"github.com/zkctl/zkctl/server/audit"
	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Audited is a line of the audit log. The user is left out where the server acts on its own account.
type Audited struct{ Event audit.Event }

func (Audited) effect() {}

// audit says what became of the write of a client.
func (n *Node) audit(c *client, r *request, h txn.Header, result tree.Result) {
	if !n.cfg.Audit {
		return
	}
	for _, e := range audit.Write(r.header.Type, r.body, h, result) {
		e.Session, e.User, e.IP = c.session.String(), n.policy.UserNames(r.auth), auth.AddrText(c.remote)
		n.note(Audited{Event: e})
	}
}

// applyClose applies the end of a session, and says which ephemeral nodes ended with it.
func (n *Node) applyClose(e txn.Entry, record *txn.CloseSession) tree.Result {
	if !n.cfg.Audit {
		return n.tree.Apply(e.Header, record, n.notify)
	}
	ended := make(map[string]bool)
	line := audit.Event{Session: e.Header.Session.String(), Operation: audit.Ephemeral, Result: audit.Success}
	result := n.tree.Apply(e.Header, record, func(event tree.Event) {
		if event.Type == wire.NodeDeleted {
			ended[event.Path] = true
			line.Znode = event.Path
			n.note(Audited{Event: line})
		}
		n.notify(event)
	})
	line.Result = audit.Failure
	for _, path := range record.Paths {
		if !ended[path] {
			line.Znode = path
			n.note(Audited{Event: line})
		}
	}
	return result
}
