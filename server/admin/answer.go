package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const notServing = "This ZooKeeper instance is not currently serving requests\n"

// word is one four-letter word.
type word struct {
	answer func(Source) string
	// always says that a server that does not serve answers, too.
	always bool
}

var words = map[string]word{
	"conf": {answer: conf},
	"cons": {answer: cons},
	"crst": {answer: func(src Source) string { src.ResetConnections(); return "Connection stats reset.\n" }},
	"dirs": {answer: dirs},
	"dump": {answer: dump},
	"envi": {answer: envi, always: true},
	"isro": {answer: isro, always: true},
	"mntr": {answer: mntr},
	"ruok": {answer: func(Source) string { return "imok" }, always: true},
	"srst": {answer: func(src Source) string { src.ResetTraffic(); return "Server stats reset.\n" }},
	"srvr": {answer: srvr},
	"stat": {answer: stat},
	"wchc": {answer: wchc},
	"wchp": {answer: wchp},
	"wchs": {answer: wchs},
}

// Answer is what a four-letter word is answered before the connection is closed. ok is false for what is none of the
// words.
func Answer(src Source, name string) (text string, ok bool) {
	w, ok := words[name]
	switch {
	case !ok:
		return "", false
	case !allowed(src.Config().FourLetterWords, name):
		return name + " is not executed because it is not in the whitelist.\n", true
	case !w.always && !src.Status().TakesClients:
		return notServing, true
	}
	return w.answer(src), true
}

func allowed(whitelist []string, name string) bool {
	return name == "srvr" || slices.Contains(whitelist, name) || slices.Contains(whitelist, "*")
}

func isro(src Source) string {
	switch status := src.Status(); {
	case !status.TakesClients:
		return "null"
	case status.ReadOnly:
		return "ro"
	}
	return "rw"
}

func srvr(src Source) string { return serverStats(src, "") }

func stat(src Source) string {
	var b strings.Builder
	b.WriteString("Clients:\n")
	for _, c := range src.Connections() {
		fmt.Fprintf(&b, " %s\n", shortConnection(c))
	}
	b.WriteByte('\n')
	return serverStats(src, b.String())
}

// serverStats is the answer to srvr and, with a list of clients, to stat.
func serverStats(src Source, clients string) string {
	status, traffic := src.Status(), src.Traffic()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s\n%s", versionLine(src), clients)
	fmt.Fprintf(&b, "Latency min/avg/max: %d/%s/%d\n",
		traffic.Latency.Min.Milliseconds(), javaDouble(avgMillis(traffic.Latency)), traffic.Latency.Max.Milliseconds())
	fmt.Fprintf(&b, "Received: %d\nSent: %d\n", traffic.Received, traffic.Sent)
	fmt.Fprintf(&b, "Connections: %d\nOutstanding: %d\n", traffic.Open, status.Outstanding)
	fmt.Fprintf(&b, "Zxid: %v\nMode: %s\nNode count: %d\n", lastZxid(status), status.Mode(), znodes(status))
	if status.Role == node.Leading {
		p := src.Proposed()
		fmt.Fprintf(&b, "Proposal sizes last/min/max: %d/%d/%d\n", p.last(), p.min(), p.max())
	}
	return b.String()
}

// lastZxid is the last zxid as Apache ZooKeeper shows it: that of a new leader is the beginning of its epoch, before it
// has any txn (Leader.startZkServer).
func lastZxid(s node.Status) wire.Zxid {
	if s.Serving && s.Role == node.Leading {
		return max(s.Zxid, wire.MakeZxid(s.Epoch, 0))
	}
	return s.Zxid
}
