package prep

import (
	"errors"
	"strings"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Membership is what a leader knows about its ensemble.
type Membership interface {
	// Members is the last committed membership, LastSeen the last proposed one.
	Members() *quorum.Config
	LastSeen() *quorum.Config
	// HasSynced tells whether a quorum of a membership follows the leader, in sync.
	HasSynced(*quorum.Config) bool
}

// reconfig makes a transaction of a change of the membership. The checks come in the order in which
// org.apache.zookeeper.server.PrepRequestProcessor has them.
func (p *Preparer) reconfig(r Request, h txn.Header, d *wire.Decoder) (txn.Record, wire.ErrCode) {
	var q wire.ReconfigRequest
	q.Decode(d)
	if d.Err() != nil {
		return nil, wire.ErrMarshalling
	}
	if !p.ReconfigEnabled {
		return nil, wire.ErrReconfigDisabled
	}
	var record *txn.SetData
	err := p.checked(r, d, false, func() (err wire.ErrCode) {
		record, err = p.changeMembers(r, h, q)
		return err
	})
	return record, err
}

func (p *Preparer) changeMembers(r Request, h txn.Header, q wire.ReconfigRequest) (*txn.SetData, wire.ErrCode) {
	if p.Membership == nil {
		return nil, wire.ErrUnimplemented
	}
	last := p.Membership.LastSeen()
	switch {
	case last.Version() != p.Membership.Members().Version():
		return nil, wire.ErrReconfigInProgress
	case q.ConfigID != -1 && q.ConfigID != last.Version():
		return nil, wire.ErrBadVersion
	}
	next, err := p.nextMembers(last, q, int64(h.Zxid))
	switch {
	case errors.Is(err, quorum.ErrUnchecked):
		return nil, wire.ErrMarshalling
	case err != nil, p.StandaloneEnabled && len(next.Voters()) < 2, !p.MultiAddress && next.SeveralAddresses():
		return nil, wire.ErrBadArguments
	case !p.Membership.HasSynced(next):
		return nil, wire.ErrNewConfigNoQuorum
	}
	n, ok := p.overlay.node(tree.ConfigPath)
	if !ok {
		return nil, wire.ErrNoNode
	}
	if !p.policy.Allowed(n.acl, wire.PermWrite, r.Auth) {
		return nil, wire.ErrNoAuth
	}
	if p.CheckMembers != nil && p.CheckMembers(next) != nil { // a check that only this server has comes behind all others
		return nil, wire.ErrBadArguments
	}
	n.stat.Version = -1
	n.stat.Mzxid, n.stat.Mtime = h.Zxid, h.Time
	n.content = tree.ContentCRC(tree.ConfigPath, next.Text())
	p.overlay.put(n)
	return &txn.SetData{Path: tree.ConfigPath, Data: next.Text(), Version: -1}, wire.ErrOK
}

// nextMembers is the membership that a request asks for: a whole one, or the last one with changes.
func (p *Preparer) nextMembers(last *quorum.Config, q wire.ReconfigRequest, version int64) (*quorum.Config, error) {
	if q.NewMembers == nil {
		return last.Change(textOf(q.Joining), textOf(q.Leaving), version)
	}
	text := strings.ReplaceAll(*q.NewMembers, ",", "\n")
	next, err := quorum.Parse([]byte(text))
	switch {
	case errors.Is(err, quorum.ErrNoVoter) && (!p.StandaloneEnabled || strings.Contains(text, "server.")),
		err == nil && p.StandaloneEnabled && len(next.Voters()) == 1 && len(next.Members()) > 1:
		return nil, quorum.ErrUnchecked // observers without voters, or with a single one
	case err != nil:
		return nil, err
	}
	return next.WithVersion(version), nil
}

// textOf takes null for an empty list.
func textOf(list *string) string {
	if list == nil {
		return ""
	}
	return *list
}
