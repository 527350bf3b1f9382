package auth

import (
	"slices"

	"github.com/zkctl/zkctl/wire"
)

// Ensemble returns the scheme "ensemble": a client names the ensemble that it means, and is sent elsewhere if this is
// another one. Without names, and for clients that name none, every ensemble is right. It gives no ids
// (org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider).
func Ensemble(names []string) Scheme { return ensemble{names} }

type ensemble struct{ names []string }

func (ensemble) Name() string { return "ensemble" }

func (e ensemble) Authenticate(_ Conn, data []byte) ([]wire.ID, Verdict) {
	if len(data) > 0 && len(e.names) > 0 && !slices.Contains(e.names, decoded(data)) {
		return nil, Elsewhere
	}
	return nil, Accepted
}

func (ensemble) Valid(string) bool        { return false }
func (ensemble) Matches(_, _ string) bool { return false }
func (ensemble) Proven() bool             { return false }
func (ensemble) User(id string) string    { return id }
