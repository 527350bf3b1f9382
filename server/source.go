package server

import (
	"os"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// source shows a server to package admin.
type source struct{ s *Server }

func (a source) Config() *config.Config    { return a.s.cfg }
func (a source) Version() string           { return a.s.opts.Version }
func (a source) Started() time.Time        { return a.s.began }
func (a source) Mono() time.Duration       { return time.Since(a.s.began) }
func (a source) Watches() *watch.Manager   { return a.s.node.Watches() }
func (a source) Metrics() *metrics.Metrics { return a.s.metrics }
func (a source) Proposed() admin.Sizes     { return a.s.proposals.report() }

func (a source) Members() *quorum.Config {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	if m := a.s.node.Members(); m != nil {
		return m
	}
	return &a.s.cfg.Members
}

func (a source) Status() node.Status {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	return a.s.node.Status()
}

func (a source) Sessions() []tree.Session {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	return a.s.node.Tree().Sessions()
}

func (a source) Ephemerals() map[wire.SessionID][]string {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	t := a.s.node.Tree()
	all := make(map[wire.SessionID][]string)
	for _, id := range t.EphemeralOwners() {
		all[id] = t.Ephemerals(id)
	}
	return all
}

func (a source) Traffic() admin.Traffic {
	if a.s.clients == nil {
		return admin.Traffic{}
	}
	return a.s.clients.Traffic()
}

func (a source) TraceMask() int64        { return a.s.traceMask.Load() }
func (a source) SetTraceMask(mask int64) { a.s.traceMask.Store(mask) }

func (a source) Digests() []tree.ZxidDigest {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	return a.s.node.Tree().Digests()
}

func (a source) Expiries() admin.Expiries {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	e := admin.Expiries{Local: a.s.node.LocalSessions(), Global: a.s.node.ExpiringSessions()}
	role := a.s.node.Status().Role
	e.Decides = role == node.Leading || role == node.Standalone
	return e
}

func (a source) LastSnapshot() (zxid wire.Zxid, written time.Time, ok bool) {
	entries, err := os.ReadDir(a.s.cfg.SnapDir())
	if err != nil {
		return 0, written, false
	}
	for _, entry := range entries {
		z, _, isSnapshot := snap.ParseName(entry.Name())
		if !isSnapshot || ok && z < zxid {
			continue
		}
		if info, err := entry.Info(); err == nil { // else it was deleted meanwhile
			zxid, written, ok = z, info.ModTime(), true
		}
	}
	return zxid, written, ok
}

func (a source) Quotas() map[string]tree.NamespaceQuota {
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	return a.s.node.Tree().NamespaceQuotas()
}

func (a source) Learners() []admin.Learner {
	if a.s.peers == nil {
		return nil
	}
	var list []admin.Learner
	for _, l := range a.s.peers.Learners() {
		list = append(list, admin.Learner(l))
	}
	return list
}

func (a source) ResetObservers() {
	if a.s.peers != nil {
		a.s.peers.ResetObservers()
	}
}

func (a source) ResetTraffic() {
	a.s.proposals.reset()
	a.s.metrics.Reset()
	if a.s.clients != nil {
		a.s.clients.ResetTraffic()
	}
}

func (a source) Connections() []admin.Connection {
	if a.s.clients == nil {
		return nil
	}
	list := a.s.clients.Connections()
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	for i := range list {
		c := &list[i]
		c.Session, c.Timeout, _ = a.s.node.SessionOf(node.ClientID(c.ID))
		if c.LastOp == wire.OpCreateSession && c.LastZxid == 0 {
			c.LastZxid = a.s.node.Tree().LastZxid() // its answer names none
		}
	}
	return list
}

func (a source) ResetConnections() {
	if a.s.clients != nil {
		a.s.clients.ResetConnections()
	}
}

func (a source) Authorize(c admin.Credentials) admin.Access {
	ids, verdict := a.s.policy.Add(nil, auth.Conn{Remote: c.Remote, Certificates: c.Certificates}, c.Scheme, c.Data)
	if verdict != auth.Accepted || len(ids) == 0 {
		return admin.NotAuthenticated
	}
	a.s.mu.RLock()
	defer a.s.mu.RUnlock()
	if !a.s.node.Administers(ids) {
		return admin.NotAuthorized
	}
	return admin.Granted
}

func (a source) Shed(percent int) int {
	if a.s.clients == nil {
		return 0
	}
	return a.s.clients.Shed(percent)
}
