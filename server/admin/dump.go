package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/wire"
)

// javaDate is how Java shows a time (Date.toString).
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// dump lists sessions by the moment of their end, their ephemeral nodes, and connections.
func dump(src Source) string {
	var b strings.Builder
	b.WriteString("SessionTracker dump:\n")
	expiries := src.Expiries()
	local := src.Config().LocalSessions
	if local {
		b.WriteString("Local Session ")
		dumpDue(&b, src, expiries.Local)
	}
	switch {
	case !expiries.Decides:
		sessions := src.Sessions()
		fmt.Fprintf(&b, "Global Sessions(%d):\n", len(sessions))
		for _, s := range sessions {
			fmt.Fprintf(&b, "%v\t%dms\n", s.ID, s.TimeoutMillis)
		}
	case local:
		b.WriteString("Global ")
		fallthrough
	default:
		b.WriteString("Session ")
		dumpDue(&b, src, expiries.Global)
	}
	owned := src.Ephemerals()
	fmt.Fprintf(&b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owned))
	for _, id := range sortedSessions(owned) {
		fmt.Fprintf(&b, "%v:\n", id)
		for _, path := range owned[id] {
			fmt.Fprintf(&b, "\t%s\n", path)
		}
	}
	dumpConnections(&b, src)
	return b.String()
}

func dumpDue(b *strings.Builder, src Source, due []session.Due) {
	count := 0
	for _, d := range due {
		count += len(d.IDs)
	}
	fmt.Fprintf(b, "Sets (%d)/(%d):\n", len(due), count)
	for _, d := range due {
		fmt.Fprintf(b, "%d expire at %s:\n", len(d.IDs), src.Started().Add(d.At).Format(javaDate))
		for _, id := range d.IDs {
			fmt.Fprintf(b, "\t%v\n", id)
		}
	}
}

// dumpConnections lists connections by the moment at which they end if nothing more is heard: a multiple of
// nio.sessionlessCnxnTimeout, as NIOServerCnxnFactory has it.
func dumpConnections(b *strings.Builder, src Source) {
	interval := src.Config().SessionlessTimeout
	conns := src.Connections()
	ends := make(map[time.Duration][]Connection)
	for _, c := range conns {
		heard, timeout := c.Established, interval
		if c.LastResponse.After(heard) {
			heard = c.LastResponse
		}
		if c.Session != 0 {
			timeout = c.Timeout
		}
		end := (heard.Sub(src.Started())+timeout)/interval + 1
		ends[end*interval] = append(ends[end*interval], c)
	}
	fmt.Fprintf(b, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(ends), len(conns))
	moments := make([]time.Duration, 0, len(ends))
	for end := range ends {
		moments = append(moments, end)
	}
	slices.Sort(moments)
	for _, end := range moments {
		fmt.Fprintf(b, "%d expire at %s:\n", len(ends[end]), src.Started().Add(end).Format(javaDate))
		for _, c := range ends[end] {
			fmt.Fprintf(b, "\tip: /%s sessionId: %v\n", javaAddress(c.Remote), c.Session)
		}
	}
}

// sortedSessions are the keys as unsigned numbers, in which form they are shown.
func sortedSessions[V any](m map[wire.SessionID]V) []wire.SessionID {
	ids := make([]wire.SessionID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b wire.SessionID) int {
		switch {
		case uint64(a) < uint64(b):
			return -1
		case a == b:
			return 0
		}
		return 1
	})
	return ids
}
