// Package prep makes transactions of requests, as the leader or a standalone server does. It checks a request against the
// tree plus the changes that are on their way, so that each transaction will succeed where it comes in order.
//
// A request that is refused becomes a transaction too, of type error with the code: every write takes one zxid, in the
// order in which the requests came. See org.apache.zookeeper.server.PrepRequestProcessor.
package prep

import (
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Request is a write of a client, or of the server itself.
type Request struct {
	// Session is 0 for what the server does on its own account, which is not checked.
	Session wire.SessionID
	Cxid    int32
	Type    wire.OpCode
	// Body is the record of the request.
	Body []byte
	// Auth are the ids of the client's connection.
	Auth []wire.ID
	// Owner is where the request came from.
	Owner session.Owner
	// NoEphemerals is set for a session that only the member knows to which its client is connected: it may write without
	// being asked for, but to create an ephemeral node is refused with this code.
	NoEphemerals wire.ErrCode
}

// Preparer makes the transactions of one term. It is not safe for concurrent use.
type Preparer struct {
	// MaxTxnBytes is the longest transaction that every member can read; 0 for any length. A request can make a longer one:
	// each "auth" in its lists stands for all ids of the client.
	MaxTxnBytes int
	// Membership is what reconfigurations change; nil for a standalone server, which has none.
	Membership Membership
	// ReconfigEnabled lets clients change the membership, StandaloneEnabled keeps them from leaving less than two voters.
	ReconfigEnabled, StandaloneEnabled bool
	// MultiAddress lets them give servers several addresses.
	MultiAddress bool
	// CheckMembers refuses memberships with which no member could start again; nil for none.
	CheckMembers func(*quorum.Config) error
	// MaxNeverUsed is the age at which containers that never had a child are deleted; 0 for never.
	MaxNeverUsed time.Duration
	// Metrics counts the changes that wait to be applied; nil for nobody.
	Metrics *metrics.Metrics
	// NoCloseSessionPaths leaves the paths out of transactions that end sessions, as before 3.6
	// (zookeeper.closeSessionTxn.enabled=false).
	NoCloseSessionPaths bool
	// QuotaExceeded is told of every change beyond a quota; those beyond a hard limit are refused. Without it, quotas are
	// not enforced.
	QuotaExceeded func(tree.QuotaExcess)
	// CountChildren is for tests only: it numbers sequential nodes by the children that there are.
	CountChildren bool

	tree     *tree.Tree
	sessions *session.Tracker
	policy   *auth.Policy
	overlay  overlay
	// listBytes is the length of the access control lists of the transaction in the making.
	listBytes int
}

// New returns a preparer whose first transaction will be the next one applied to the tree.
func New(t *tree.Tree, sessions *session.Tracker, policy *auth.Policy) *Preparer {
	return &Preparer{tree: t, sessions: sessions, policy: policy, overlay: newOverlay(t)}
}

// Applied says that the tree has the transactions up to zxid.
func (p *Preparer) Applied(zxid wire.Zxid) {
	changes := p.overlay.applied(zxid)
	if p.Metrics != nil {
		p.Metrics.OutstandingChangesRemoved.Add(int64(changes))
	}
}

// Prepare makes the transaction of a request. Zxids must rise by one; wallMillis is milliseconds since the Unix epoch.
func (p *Preparer) Prepare(r Request, zxid wire.Zxid, wallMillis int64) txn.Entry {
	h := txn.Header{Session: r.Session, Cxid: r.Cxid, Zxid: zxid, Time: wallMillis, Type: r.Type}
	p.overlay.begin(h)
	p.listBytes = 0
	record, err := p.record(r, h)
	if err == wire.ErrOK {
		e := txn.New(h, record, p.digest())
		if p.MaxTxnBytes == 0 || len(e.Bytes) <= p.MaxTxnBytes {
			if p.Metrics != nil {
				p.Metrics.OutstandingChangesQueued.Add(int64(len(p.overlay.undo)))
			}
			return e
		}
		err = wire.ErrBadArguments
	}
	p.overlay.rollBack()
	h.Type = wire.OpError
	return txn.New(h, &txn.Error{Err: err}, nil)
}

// digest is that of the tree behind the transaction in the making, nil without digests.
func (p *Preparer) digest() *txn.Digest {
	if p.tree.Options().NoDigest {
		return nil
	}
	return &txn.Digest{Version: tree.DigestVersion, Tree: p.overlay.digest}
}

func (p *Preparer) record(r Request, h txn.Header) (txn.Record, wire.ErrCode) {
	d := wire.NewDecoder(r.Body)
	switch r.Type {
	case wire.OpCreateSession:
		timeout := d.Int32()
		if d.Err() != nil {
			return nil, wire.ErrMarshalling
		}
		return &txn.CreateSession{TimeoutMillis: timeout}, wire.ErrOK
	case wire.OpCloseSession:
		return p.closeSession(r.Session, h), wire.ErrOK
	case wire.OpDeleteContainer:
		if r.Session != 0 {
			return nil, wire.ErrUnimplemented
		}
		return p.deleteContainer(d, h.Time)
	case wire.OpMulti:
		return p.multi(r, h, d)
	case wire.OpReconfig:
		return p.reconfig(r, h, d)
	case wire.OpCheck:
		return nil, wire.ErrUnimplemented
	}
	sub, err := p.one(r, h, r.Type, d, false)
	return sub.Record, err
}

// one makes the record of a single operation.
func (p *Preparer) one(r Request, h txn.Header, op wire.OpCode, d *wire.Decoder, inMulti bool) (txn.Sub, wire.ErrCode) {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return p.create(r, h, op, d, inMulti)
	case wire.OpDelete:
		var q wire.VersionRequest
		q.Decode(d)
		return txn.Sub{Type: op, Record: &txn.Delete{Path: q.Path}}, p.checked(r, d, false, func() wire.ErrCode { return p.delete(r, q) })
	case wire.OpSetData:
		var q wire.SetDataRequest
		q.Decode(d)
		record := &txn.SetData{Path: q.Path, Data: q.Data}
		return txn.Sub{Type: op, Record: record}, p.checked(r, d, false, func() wire.ErrCode { return p.setData(r, h, q, record) })
	case wire.OpSetACL:
		var q wire.SetACLRequest
		q.Decode(d)
		record := &txn.SetACL{Path: q.Path}
		return txn.Sub{Type: op, Record: record}, p.checked(r, d, false, func() wire.ErrCode { return p.setACL(r, q, record) })
	case wire.OpCheck:
		var q wire.VersionRequest
		q.Decode(d)
		record := &txn.CheckVersion{Path: q.Path}
		return txn.Sub{Type: op, Record: record}, p.checked(r, d, false, func() wire.ErrCode { return p.check(r, q, record) })
	}
	return txn.Sub{}, wire.ErrUnimplemented
}

// checked runs the checks of an operation whose record was whole and whose session may act.
func (p *Preparer) checked(r Request, d *wire.Decoder, ephemeral bool, check func() wire.ErrCode) wire.ErrCode {
	if d.Err() != nil {
		return wire.ErrMarshalling
	}
	err := r.NoEphemerals
	switch {
	case err == wire.ErrOK:
		err = p.sessions.Check(r.Session, r.Owner)
	case !ephemeral:
		err = wire.ErrOK
	}
	if err != wire.ErrOK {
		return err
	}
	return check()
}

// creation is what a create request asks for.
type creation struct {
	wire.CreateTTLRequest
	kind       tree.Kind
	sequential bool
}

// fixUp makes the list to store of that of a request; those of one transaction must fit into it.
func (p *Preparer) fixUp(acl []wire.ACL, ids []wire.ID) ([]wire.ACL, wire.ErrCode) {
	left := 0
	if p.MaxTxnBytes > 0 {
		left = max(p.MaxTxnBytes-p.listBytes, 1)
	}
	fixed, code := p.policy.FixUp(acl, ids, left)
	for _, a := range fixed {
		p.listBytes += a.EncodedBytes()
	}
	return fixed, code
}

func (p *Preparer) delete(r Request, q wire.VersionRequest) wire.ErrCode {
	if !isPathLike(q.Path) || slices.Contains(undeletable, q.Path) {
		return wire.ErrBadArguments
	}
	parent, ok := p.overlay.node(tree.Parent(q.Path))
	if !ok {
		return wire.ErrNoNode
	}
	if !p.policy.Allowed(parent.acl, wire.PermDelete, r.Auth) {
		return wire.ErrNoAuth
	}
	n, ok := p.overlay.node(q.Path)
	switch {
	case !ok:
		return wire.ErrNoNode
	case q.Version != -1 && q.Version != n.stat.Version:
		return wire.ErrBadVersion
	case n.children > 0:
		return wire.ErrNotEmpty
	}
	p.overlay.remove(n)
	return wire.ErrOK
}

var undeletable = []string{tree.RootPath, tree.SystemPath, tree.QuotaPath, tree.ConfigPath}

// deleteContainer deletes a container or TTL node, if it is still to be deleted: since it was listed it may have become
// another one, or a client may have written to it.
func (p *Preparer) deleteContainer(d *wire.Decoder, now int64) (txn.Record, wire.ErrCode) {
	path := d.String()
	if d.Err() != nil {
		return nil, wire.ErrMarshalling
	}
	n, ok := p.overlay.node(path)
	if !ok {
		return nil, wire.ErrNoNode
	}
	if n.children > 0 {
		return nil, wire.ErrNotEmpty
	}
	age, ttl := now-n.stat.Mtime, n.stat.EphemeralOwner&tree.MaxTTL
	unused := p.MaxNeverUsed > 0 && age > p.MaxNeverUsed.Milliseconds()
	switch {
	case n.kind == tree.Container && (n.stat.Cversion > 0 || unused):
	case n.kind == tree.TTL && ttl > 0 && age > ttl:
	default:
		return nil, wire.ErrBadVersion
	}
	p.overlay.remove(n)
	return &txn.Delete{Path: path}, wire.ErrOK
}

// node finds a node with which a client with these ids may do this.
func (p *Preparer) node(path string, perms wire.Perms, ids []wire.ID) (node, wire.ErrCode) {
	n, ok := p.overlay.node(path)
	switch {
	case !ok:
		return n, wire.ErrNoNode
	case !p.policy.Allowed(n.acl, perms, ids):
		return n, wire.ErrNoAuth
	}
	return n, wire.ErrOK
}

func (p *Preparer) setData(r Request, h txn.Header, q wire.SetDataRequest, record *txn.SetData) wire.ErrCode {
	if !validPath(q.Path) {
		return wire.ErrBadArguments
	}
	n, code := p.node(q.Path, wire.PermWrite, r.Auth)
	switch {
	case code != wire.ErrOK:
		return code
	case p.exceedsQuota(q.Path, 0, len(q.Data)-n.dataLen):
		return wire.ErrQuotaExceeded
	case q.Version != -1 && q.Version != n.stat.Version:
		return wire.ErrBadVersion
	}
	n.stat.Version = next(n.stat.Version)
	n.stat.Mzxid, n.stat.Mtime = h.Zxid, h.Time
	n.content, n.dataLen = tree.ContentCRC(q.Path, q.Data), len(q.Data)
	p.overlay.put(n)
	record.Version = n.stat.Version
	return wire.ErrOK
}

func (p *Preparer) setACL(r Request, q wire.SetACLRequest, record *txn.SetACL) wire.ErrCode {
	if !validPath(q.Path) {
		return wire.ErrBadArguments
	}
	acl, code := p.fixUp(q.ACL, r.Auth)
	if code != wire.ErrOK {
		return code
	}
	n, code := p.node(q.Path, wire.PermAdmin, r.Auth)
	switch {
	case code != wire.ErrOK:
		return code
	case q.Version != -1 && q.Version != n.stat.Aversion:
		return wire.ErrBadVersion
	}
	n.stat.Aversion = next(n.stat.Aversion)
	n.acl = acl
	p.overlay.put(n)
	record.ACL, record.Version = acl, n.stat.Aversion
	return wire.ErrOK
}

func (p *Preparer) check(r Request, q wire.VersionRequest, record *txn.CheckVersion) wire.ErrCode {
	if !validPath(q.Path) {
		return wire.ErrBadArguments
	}
	n, code := p.node(q.Path, wire.PermRead, r.Auth)
	switch {
	case code != wire.ErrOK:
		return code
	case q.Version != -1 && q.Version != n.stat.Version:
		return wire.ErrBadVersion
	}
	record.Version = next(n.stat.Version)
	return wire.ErrOK
}

// exceedsQuota tells whether a change goes beyond a hard limit.
func (p *Preparer) exceedsQuota(path string, nodes, bytes int) (hard bool) {
	if p.QuotaExceeded == nil {
		return false
	}
	for _, e := range p.tree.QuotaExcesses(path, int64(nodes), int64(bytes)) {
		p.QuotaExceeded(e)
		hard = hard || e.Hard
	}
	return hard
}

// next is the version after v; -1 is left out, since it means "any" in requests.
func next(v int32) int32 {
	if v == -2 {
		return 0
	}
	return v + 1
}

// closeSession lists the ephemeral nodes that end with a session: those of the tree and those on their way. From here on
// the session can do nothing.
func (p *Preparer) closeSession(id wire.SessionID, h txn.Header) txn.Record {
	p.sessions.SetClosing(id)
	paths := p.overlay.ephemerals(id)
	for _, path := range paths {
		if n, ok := p.overlay.node(path); ok {
			p.overlay.remove(n)
		}
	}
	if p.MaxTxnBytes > 0 {
		paths = fitting(paths, p.MaxTxnBytes-closeSessionBytes)
	}
	return &txn.CloseSession{Paths: paths, NoList: p.NoCloseSessionPaths}
}

// closeSessionBytes is what a closeSession takes without its paths.
const closeSessionBytes = 128

// fitting returns those paths that a closeSession can name in so many bytes. Every member deletes all nodes of the session,
// named or not. But one that applies it again to a snapshot without these nodes learns from their names which parents lost
// a child, so that one child of each parent is named first.
func fitting(paths []string, limitBytes int) []string {
	rest := limitBytes
	for _, path := range paths {
		rest -= 4 + len(path)
	}
	if rest >= 0 {
		return paths
	}
	parents := make(map[string]bool)
	var first, later []string
	for _, path := range paths {
		if parent := tree.Parent(path); !parents[parent] {
			parents[parent] = true
			first = append(first, path)
		} else {
			later = append(later, path)
		}
	}
	named := append(first, later...)
	for i, path := range named {
		if limitBytes -= 4 + len(path); limitBytes < 0 {
			return named[:i]
		}
	}
	return named
}

// isPathLike is what create and delete ask of a path before they look at anything else.
func isPathLike(path string) bool {
	return strings.Contains(path, "/") && !strings.Contains(path, "\x00")
}

// validPath is the rule for paths of nodes (org.apache.zookeeper.common.PathUtils).
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == '/' {
		return false
	}
	for _, name := range strings.Split(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, c := range path {
		switch {
		case c <= 0x1f, c >= 0x7f && c <= 0x9f, c >= 0xd800 && c <= 0xf8ff, c >= 0xfff0:
			return false
		}
	}
	return true
}
