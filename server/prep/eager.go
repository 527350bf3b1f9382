package prep

import (
	"slices"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// maxListBytes is up to what length lists are looked at before they are on their way.
const maxListBytes = 1 << 20

// Eagerly checks the access lists of a write against the tree as it is, before the write is on its way to the leader
// (ZooKeeperServer.authWriteRequest). It returns wire.ErrNoAuth, wire.ErrInvalidACL, or wire.ErrOK for all that is not to
// be refused for these reasons, or not here.
func Eagerly(t *tree.Tree, policy *auth.Policy, op wire.OpCode, body []byte, ids []wire.ID) wire.ErrCode {
	d := wire.NewDecoder(body)
	var path string
	var perms wire.Perms
	var acl []wire.ACL
	hasACL, onParent := false, false
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		var r wire.CreateRequest
		r.Decode(d)
		path, perms, acl, hasACL, onParent = r.Path, wire.PermCreate, r.ACL, true, true
	case wire.OpDelete:
		var r wire.VersionRequest
		r.Decode(d)
		path, perms, onParent = r.Path, wire.PermDelete, true
	case wire.OpSetData:
		var r wire.SetDataRequest
		r.Decode(d)
		path, perms = r.Path, wire.PermWrite
	case wire.OpSetACL:
		var r wire.SetACLRequest
		r.Decode(d)
		path, perms, acl, hasACL = r.Path, wire.PermAdmin, r.ACL, true
	default:
		return wire.ErrOK
	}
	if d.Err() != nil || onParent && (!isPathLike(path) || slices.Contains(undeletable, path)) {
		return wire.ErrOK
	}
	if hasACL {
		// The leader refuses a list that is too long.
		if _, code := policy.FixUp(acl, ids, maxListBytes); code == wire.ErrInvalidACL {
			return code
		}
	}
	if onParent {
		path = tree.Parent(path)
	}
	if n, ok := t.Lookup(path); ok && !policy.Allowed(n.ACL(), perms, ids) {
		return wire.ErrNoAuth
	}
	return wire.ErrOK
}
