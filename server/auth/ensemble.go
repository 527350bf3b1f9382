package auth

import (
	"slices"

	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/wire"
)

// Ensemble returns the scheme "ensemble": a client names the ensemble that it means, and is sent elsewhere if this is
// another one. Without names, and for clients that name none, every ensemble is right. It gives no ids
// (org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider). m counts the outcomes.
func Ensemble(names []string, m *metrics.Metrics) Scheme { return ensemble{names, m} }

type ensemble struct {
	names   []string
	metrics *metrics.Metrics
}

func (ensemble) Name() string { return "ensemble" }

func (e ensemble) Authenticate(_ Conn, data []byte) ([]wire.ID, Verdict) {
	switch {
	case len(data) == 0 || len(e.names) == 0:
		e.metrics.EnsembleAuthSkip.Add(1)
	case slices.Contains(e.names, javatext.Decode(data)):
		e.metrics.EnsembleAuthSuccess.Add(1)
	default:
		e.metrics.EnsembleAuthFail.Add(1)
		return nil, Elsewhere
	}
	return nil, Accepted
}

func (ensemble) Valid(string) bool        { return false }
func (ensemble) Matches(_, _ string) bool { return false }
func (ensemble) Proven() bool             { return false }
func (ensemble) User(id string) string    { return id }
