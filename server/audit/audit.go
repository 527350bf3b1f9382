// Package audit says who changed what, as the audit log of Apache ZooKeeper does (org.apache.zookeeper.audit): one line for
// each operation of a client that changes the tree or was to change it, for each ephemeral node that ends with its session,
// and for the start and the stop of a server. A line is
//
//	session=0x1000a3f2c0d0000	user=bob	ip=10.0.0.7	operation=create	znode=/a	znode_type=persistent	result=success
//
// with a tab between its fields; fields that say nothing are left out. Reads are not logged.
//
// Two things are not as there. The hashes in the ids of the scheme digest are hidden, as getACL hides them. And control
// characters are escaped, so that no client can forge a line.
//
// Where lines are written is not known here.
package audit

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// The operations (org.apache.zookeeper.audit.AuditConstants).
const (
	Create      = "create"
	Delete      = "delete"
	SetData     = "setData"
	SetACL      = "setAcl"
	Multi       = "multiOperation"
	Reconfig    = "reconfig"
	ServerStart = "serverStart"
	ServerStop  = "serverStop"
	// Ephemeral is the end of an ephemeral node with its session.
	Ephemeral = "ephemeralZNodeDeletionOnSessionCloseOrExpire"
)

// Result is how an operation ended.
type Result string

// The results of operations. Invoked is that of a stop, of which nothing can be said afterwards.
const (
	Success Result = "success"
	Failure Result = "failure"
	Invoked Result = "invoked"
)

// Event is one line. Fields are in the order of the line; empty ones are left out.
type Event struct {
	Session   string
	User      string
	IP        string
	Operation string
	Znode     string
	ZnodeType string
	ACL       string
	Result    Result
}

// String is the line, without its end.
func (e Event) String() string {
	var b strings.Builder
	for _, field := range [...]struct{ name, value string }{
		{"session", e.Session}, {"user", e.User}, {"ip", e.IP}, {"operation", e.Operation}, {"znode", e.Znode},
		{"znode_type", e.ZnodeType}, {"acl", e.ACL}, {"result", string(e.Result)},
	} {
		if field.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\t')
		}
		b.WriteString(field.name)
		b.WriteByte('=')
		b.WriteString(escaped(field.value))
	}
	return b.String()
}

// escaped writes control characters, and what is no UTF-8, as Go does.
func escaped(value string) string {
	if strings.IndexFunc(value, isControl) < 0 {
		return value
	}
	var b strings.Builder
	for _, r := range value {
		if isControl(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
}

// Write returns what there is to say about the write of a client that was answered with the result of its txn; nothing for
// what is not logged. The fields of the client are left to the caller.
func Write(op wire.OpCode, body []byte, h txn.Header, r tree.Result) []Event {
	failed := h.Type == wire.OpError
	if op == wire.OpMulti {
		return multi(body, failed, r)
	}
	e := Event{Result: Success}
	if failed || r.Err != wire.ErrOK {
		e.Result = Failure
	}
	d := wire.NewDecoder(body)
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		var q wire.CreateRequest
		q.Decode(d)
		e.Operation, e.Znode, e.ZnodeType = Create, q.Path, znodeTypes[q.Flags]
		if !failed {
			e.Znode = r.Path
		}
		if e.ZnodeType == "" {
			return nil
		}
	case wire.OpDelete:
		var q wire.VersionRequest
		q.Decode(d)
		e.Operation, e.Znode = Delete, q.Path
	case wire.OpSetData:
		var q wire.SetDataRequest
		q.Decode(d)
		e.Operation, e.Znode = SetData, q.Path
	case wire.OpSetACL:
		var q wire.SetACLRequest
		q.Decode(d)
		e.Operation, e.Znode, e.ACL = SetACL, q.Path, aclText(q.ACL)
	case wire.OpReconfig:
		e.Operation, e.Znode = Reconfig, r.Path
	default:
		return nil
	}
	if op != wire.OpReconfig && d.Err() != nil {
		return nil
	}
	return []Event{e}
}

// multi has one line for each part that changed something, or one for all if a part failed.
func multi(body []byte, failed bool, r tree.Result) []Event {
	failure := []Event{{Operation: Multi, Result: Failure}}
	if failed {
		return failure
	}
	types := typesInMulti(body)
	var events []Event
	for _, part := range r.Multi {
		e := Event{Znode: part.Path, Result: Success}
		switch part.Type {
		case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
			e.Operation, e.ZnodeType = Create, types[part.Path]
		case wire.OpDelete:
			e.Operation = Delete
		case wire.OpSetData:
			e.Operation = SetData
		case wire.OpError:
			return failure
		default:
			continue
		}
		events = append(events, e)
	}
	return events
}

// typesInMulti are the types of the nodes that a multi creates, by the paths that it asks for: those of sequential nodes
// are not found under their paths. TTL nodes are not among them.
func typesInMulti(body []byte) map[string]string {
	types := make(map[string]string)
	for d := wire.NewDecoder(body); ; {
		var part wire.MultiHeader
		part.Decode(d)
		if d.Err() != nil || part.Done {
			return types
		}
		switch part.Type {
		case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer:
			var q wire.CreateRequest
			q.Decode(d)
			if q.Flags != wire.FlagPersistentTTL && q.Flags != wire.FlagPersistentSequentialTTL {
				types[q.Path] = znodeTypes[q.Flags]
			}
		case wire.OpCreateTTL:
			var q wire.CreateTTLRequest
			q.Decode(d)
		case wire.OpSetData:
			var q wire.SetDataRequest
			q.Decode(d)
		default:
			var q wire.VersionRequest
			q.Decode(d)
		}
	}
}

// znodeTypes are the kinds of nodes by the flags of a create (org.apache.zookeeper.CreateMode).
var znodeTypes = map[int32]string{
	wire.FlagPersistent: "persistent", wire.FlagEphemeral: "ephemeral",
	wire.FlagSequential: "persistent_sequential", wire.FlagEphemeralSequential: "ephemeral_sequential",
	wire.FlagContainer: "container", wire.FlagPersistentTTL: "persistent_with_ttl",
	wire.FlagPersistentSequentialTTL: "persistent_sequential_with_ttl",
}

// aclText writes a list as scheme:id:permissions, one after the other.
func aclText(acl []wire.ACL) string {
	var b strings.Builder
	for _, a := range auth.Masked(acl) {
		b.WriteString(a.ID.Scheme + ":" + a.ID.ID + ":")
		for _, p := range [...]struct {
			perm   wire.Perms
			letter byte
		}{{wire.PermCreate, 'c'}, {wire.PermDelete, 'd'}, {wire.PermRead, 'r'}, {wire.PermWrite, 'w'}, {wire.PermAdmin, 'a'}} {
			if a.Perms&p.perm != 0 {
				b.WriteByte(p.letter)
			}
		}
	}
	return b.String()
}
