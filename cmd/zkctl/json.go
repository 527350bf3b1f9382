package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

// failure is how an operation failed, the last line of JSON.
type failure struct {
	Kind  string `json:"kind"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Code  int    `json:"exit_code"`
}

// telling adds to an action that its failure is a line of JSON, too, where JSON was asked for.
func telling(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		err := action(c)
		endTrail(c, err)
		out, formErr := newOutput(c)
		if err != nil && formErr == nil && out.json && !silentError(err) {
			out.line(failure{"error", message(err), hintOf(err), exitCode(err)})
		}
		return err
	}
}

// memberStatus is one member in JSON.
type memberStatus struct {
	Host        string  `json:"host"`
	Address     string  `json:"address"`
	ID          int     `json:"id"`
	Role        string  `json:"role"`
	State       string  `json:"state"`
	Reason      string  `json:"reason,omitempty"`
	Kind        string  `json:"kind,omitempty"`
	Version     string  `json:"version,omitempty"`
	Zxid        string  `json:"zxid,omitempty"`
	Lag         *uint64 `json:"lag,omitempty"`
	Connections int     `json:"connections"`
	UptimeMs    int64   `json:"uptime_ms"`
	LatencyMs   float64 `json:"latency_ms"`
	// Certificate is what the member shows where it speaks TLS; of status only.
	Certificate *certificateStatus `json:"certificate,omitempty"`
}

// ensembleStatus is an ensemble in JSON.
type ensembleStatus struct {
	Kind         string         `json:"kind"`
	Ensemble     string         `json:"ensemble"`
	Health       string         `json:"health"`
	Text         string         `json:"text"`
	Leader       string         `json:"leader,omitempty"`
	Voters       int            `json:"voters"`
	Serving      int            `json:"serving_voters"`
	Majority     int            `json:"majority"`
	FailuresLeft int            `json:"failures_left"`
	Connect      string         `json:"connect"`
	Members      []memberStatus `json:"members"`
	// LeftOut are members that are not shown.
	LeftOut []string `json:"left_out,omitempty"`
}

// only leaves some members.
func (s ensembleStatus) only(shown, others []string) ensembleStatus {
	s.Members = slices.DeleteFunc(s.Members, func(m memberStatus) bool { return !slices.Contains(shown, m.Host) })
	s.LeftOut = others
	return s
}

func statusOf(name, connect string, seen []provision.Observation) ensembleStatus {
	v := provision.Judge(seen)
	s := ensembleStatus{
		Kind: "status", Ensemble: name, Health: string(v.Health), Text: v.Text, Leader: v.Leader, Voters: v.Voters, Serving: v.Serving,
		Majority: v.Majority, FailuresLeft: v.FailuresLeft, Connect: connect,
	}
	for _, o := range seen {
		m := memberStatus{
			Host: o.Host.Name, Address: o.Host.ClientAddress(), ID: o.Host.ID, Role: string(o.Host.Role), State: string(o.State),
			Reason: o.Reason, Kind: string(o.Kind), Version: o.Version, Connections: o.Connections, UptimeMs: o.Uptime.Milliseconds(), LatencyMs: o.LatencyMillis,
		}
		if o.Serving() {
			m.Zxid = fmt.Sprintf("0x%x", o.Zxid)
		}
		if lag, ok := provision.Lag(seen, o); ok {
			m.Lag = &lag
		}
		s.Members = append(s.Members, m)
	}
	return s
}
