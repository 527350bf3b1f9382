// Package auth decides who a client connection is and what it may do: authentication schemes, the ids that a connection
// collects, and access control lists.
//
// World, auth and super are part of the package. Every other scheme is a value of Scheme: digest and ip are there by
// default, sasl, ensemble, key and own ones are given to New.
//
// Semantics are those of org.apache.zookeeper.server.auth and ZooKeeperServer.checkACL, PrepRequestProcessor.fixupACL.
package auth

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// Names of the schemes that need no provider.
const (
	WorldScheme = "world"
	AuthScheme  = "auth"
	SuperScheme = "super"
)

// Conn is what a connection offers for authentication besides its auth packets.
type Conn struct {
	// Remote is the address of the client.
	Remote netip.Addr
	// Certificates are those that the client has shown in the handshake of TLS, verified, its own first; none without.
	Certificates []*x509.Certificate
	// Data returns the data of a node, nil if there is none. A nil function knows no nodes.
	Data func(path string) []byte
}

// Verdict is what becomes of a connection that authenticates itself.
type Verdict int

const (
	// Failed is answered with AUTHFAILED, and the connection is closed.
	Failed Verdict = iota
	// Accepted goes on.
	Accepted
	// Elsewhere closes the connection without an answer, so that the client tries another server.
	Elsewhere
)

// Scheme is a way to authenticate and to be named in access control lists.
type Scheme interface {
	// Name is the text in ids, such as "digest".
	Name() string
	// Authenticate answers an auth packet with the ids that the connection gains.
	Authenticate(c Conn, data []byte) (ids []wire.ID, v Verdict)
	// Valid reports whether an id of this scheme may stand in a list.
	Valid(id string) bool
	// Matches reports whether the id of a connection is meant by the id in a list.
	Matches(conn, acl string) bool
	// Proven reports whether ids of connections come from a proof, so that the scheme "auth" stands for them.
	Proven() bool
	// User is the part of a connection's id that whoAmI shows.
	User(id string) string
}

// Policy is how a server decides. It does not change and is safe for concurrent use.
type Policy struct {
	schemes  map[string]Scheme
	skipACL  bool
	sasl     SASLOptions
	enforced []string
}

// Options are the settings of a Policy. The zero value is Apache ZooKeeper's default.
type Options struct {
	// SkipACL lets everybody do everything (zookeeper.skipACL).
	SkipACL bool
	// NoDigest leaves out the scheme digest (zookeeper.DigestAuthenticationProvider.enabled=false).
	NoDigest bool
	// Schemes are added to digest and ip, or replace them by name.
	Schemes []Scheme
	// SASL is how clients authenticate by SASL.
	SASL SASLOptions
	// Enforced are schemes of which a connection must have an id before it may send requests; none if empty
	// (zookeeper.enforce.auth.schemes).
	Enforced []string
}

// New returns a policy.
func New(o Options) *Policy {
	p := &Policy{schemes: map[string]Scheme{ipScheme: ip{}}, skipACL: o.SkipACL, sasl: o.SASL, enforced: o.Enforced}
	if !o.NoDigest {
		p.schemes[digestScheme] = Digest("", "")
	}
	for _, s := range o.Schemes {
		p.schemes[s.Name()] = s
	}
	return p
}

// Knows reports whether ids of the scheme may stand in lists.
func (p *Policy) Knows(scheme string) bool { return p.schemes[scheme] != nil }

// Admits reports whether a connection with these ids may send requests, apart from those that authenticate it.
func (p *Policy) Admits(ids []wire.ID) bool {
	return len(p.enforced) == 0 || slices.ContainsFunc(ids, func(id wire.ID) bool { return slices.Contains(p.enforced, id.Scheme) })
}

// Initial returns the ids that a connection has from the beginning: its address, and the name in its certificate.
func (p *Policy) Initial(c Conn) []wire.ID {
	ids := []wire.ID{{Scheme: ipScheme, ID: AddrText(c.Remote)}}
	if s := p.schemes[x509Scheme]; s != nil && len(c.Certificates) > 0 {
		shown, _ := s.Authenticate(c, nil) // failing leaves it without
		ids = append(ids, shown...)
	}
	return ids
}

// Add authenticates an auth packet and returns the connection's ids with those gained. ids itself is not changed.
func (p *Policy) Add(ids []wire.ID, c Conn, scheme string, data []byte) (all []wire.ID, v Verdict) {
	s := p.schemes[scheme]
	if s == nil {
		return ids, Failed
	}
	gained, v := s.Authenticate(c, data)
	if v != Accepted {
		return ids, v
	}
	return with(ids, gained...), Accepted
}

// with returns ids and those of more that they lack, in new memory.
func with(ids []wire.ID, more ...wire.ID) []wire.ID {
	all := slices.Clone(ids)
	for _, id := range more {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// Allowed reports whether a connection with these ids has any of the permissions in perms on a node with this list. An
// empty list allows everything.
func (p *Policy) Allowed(acl []wire.ACL, perms wire.Perms, ids []wire.ID) bool {
	if p.skipACL || len(acl) == 0 {
		return true
	}
	for _, a := range acl {
		if a.Perms&perms != 0 && (a.ID == wire.AnyoneID || p.matches(a.ID, ids)) {
			return true
		}
	}
	return slices.ContainsFunc(ids, func(id wire.ID) bool { return id.Scheme == SuperScheme })
}

func (p *Policy) matches(acl wire.ID, ids []wire.ID) bool {
	s := p.schemes[acl.Scheme]
	if s == nil {
		return false
	}
	for _, id := range ids {
		if id.Scheme == acl.Scheme && s.Matches(id.ID, acl.ID) {
			return true
		}
	}
	return false
}

// FixUp turns the list of a request into the one to store: duplicates removed, the scheme "auth" replaced by the
// connection's proven ids. wire.ErrInvalidACL means that the list is null or empty, or has an id that no scheme accepts,
// wire.ErrBadArguments that it would have more than limitBytes when encoded; 0 is no limit. Of a request within its bounds
// gigabytes could come: tens of thousands of entries that stand for thousands of ids each.
func (p *Policy) FixUp(acl []wire.ACL, ids []wire.ID, limitBytes int) (fixed []wire.ACL, code wire.ErrCode) {
	var proven []wire.ID
	bytes := 0
	seen := make(map[wire.ACL]struct{}, len(acl)) // a request can hold tens of thousands
	for _, a := range acl {
		if _, again := seen[a]; again {
			continue
		}
		seen[a] = struct{}{}
		before := len(fixed)
		switch {
		case a.ID.Scheme == AuthScheme:
			if proven == nil {
				proven = p.proven(ids)
			}
			for _, id := range proven {
				if bytes += (wire.ACL{ID: id}).EncodedBytes(); limitBytes > 0 && bytes > limitBytes {
					return nil, wire.ErrBadArguments
				}
				fixed = append(fixed, wire.ACL{Perms: a.Perms, ID: id})
			}
		case a.ID == wire.AnyoneID || p.valid(a.ID):
			bytes += a.EncodedBytes()
			fixed = append(fixed, a)
		}
		if len(fixed) == before {
			return nil, wire.ErrInvalidACL
		}
	}
	switch {
	case len(fixed) == 0:
		return nil, wire.ErrInvalidACL
	case limitBytes > 0 && bytes > limitBytes:
		return nil, wire.ErrBadArguments
	}
	return fixed, wire.ErrOK
}

// proven are those of the ids that the scheme "auth" stands for.
func (p *Policy) proven(ids []wire.ID) []wire.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id wire.ID) bool {
		s := p.schemes[id.Scheme]
		return s == nil || !s.Proven()
	})
}

// valid tells whether a scheme accepts an id in a list.
func (p *Policy) valid(id wire.ID) bool {
	s := p.schemes[id.Scheme]
	return s != nil && s.Valid(id.ID)
}

// Masked returns the list as those see it who may not administer the node: without the hashes of digest ids.
func Masked(acl []wire.ACL) []wire.ACL {
	masked := slices.Clone(acl)
	for i, a := range masked {
		if a.ID.Scheme != digestScheme {
			continue
		}
		if user, _, found := strings.Cut(a.ID.ID, ":"); found {
			masked[i].ID.ID = user + ":x"
		}
	}
	return masked
}

// Users describes the ids of a connection for whoAmI, sorted.
func (p *Policy) Users(ids []wire.ID) []wire.ClientInfo {
	users := make([]wire.ClientInfo, 0, len(ids))
	for _, id := range ids {
		info := wire.ClientInfo{AuthScheme: id.Scheme}
		if s := p.schemes[id.Scheme]; s != nil {
			info.User = s.User(id.ID)
		}
		users = append(users, info)
	}
	slices.SortFunc(users, func(a, b wire.ClientInfo) int {
		if c := strings.Compare(a.AuthScheme, b.AuthScheme); c != 0 {
			return c
		}
		return strings.Compare(a.User, b.User)
	})
	return users
}

// UserNames are the names of a connection's ids as the audit log has them: in the order of the ids, with commas between
// them, and without those of unknown schemes; "" if there is none.
func (p *Policy) UserNames(ids []wire.ID) string {
	var names []string
	for _, id := range ids {
		if s := p.schemes[id.Scheme]; s != nil {
			if name := s.User(id.ID); strings.TrimSpace(name) != "" {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ",")
}
