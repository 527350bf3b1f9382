package admin

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const notServing = "This ZooKeeper instance is not currently serving requests\n"

// word is one four-letter word.
type word struct {
	// name is what the whitelist knows it by; "" for the word itself.
	name string
	// answer is given what followed the word.
	answer func(src Source, argument string) string
	// idle is the answer of a server that takes no clients; "" for the usual one. always says that it makes no difference.
	idle   string
	always bool
}

// plain is a word without an argument.
func plain(answer func(Source) string) word {
	return word{answer: func(src Source, _ string) string { return answer(src) }}
}

// always is a word that a server which takes no clients answers like any other.
func always(answer func(Source) string) word {
	w := plain(answer)
	w.always = true
	return w
}

// telnetClose is what telnet sends when it is told to end a connection.
const telnetClose = "\xff\xf4\xff\xfd"

var words = map[string]word{
	"conf": plain(conf),
	"cons": plain(cons),
	"crst": plain(func(src Source) string { src.ResetConnections(); return "Connection stats reset.\n" }),
	"dirs": plain(dirs),
	"dump": plain(dump),
	"envi": always(envi),
	"gtmk": always(func(src Source) string { return strconv.FormatInt(src.TraceMask(), 10) }),
	"hash": {answer: func(src Source, _ string) string { return hash(src) }, idle: strings.TrimSuffix(notServing, "\n")},
	"isro": {answer: func(src Source, _ string) string { return isro(src) }, idle: "null"},
	"mntr": plain(mntr),
	"ruok": always(func(Source) string { return "imok" }),
	"srst": plain(func(src Source) string { src.ResetTraffic(); return "Server stats reset.\n" }),
	"srvr": plain(srvr),
	"stat": plain(stat),
	"stmk": {answer: setTraceMask, always: true},
	"wchc": plain(wchc),
	"wchp": plain(wchp),
	"wchs": plain(wchs),

	telnetClose: {name: "telnet close", answer: func(Source, string) string { return "" }, always: true},
}

// ArgumentBytes is the length of what follows a four-letter word, and belongs to it; ok is false for what is none of the
// words.
func ArgumentBytes(name string) (bytes int, ok bool) {
	_, ok = words[name]
	if name == "stmk" {
		bytes = 8
	}
	return bytes, ok
}

// Answer is what a four-letter word, with its argument behind it, is answered before the connection is closed.
func Answer(src Source, name, argument string) string {
	w := words[name]
	switch listed := cmp.Or(w.name, name); {
	case !allowed(src.Config(), listed):
		return listed + " is not executed because it is not in the whitelist.\n"
	case !w.always && !src.Status().TakesClients:
		return cmp.Or(w.idle, notServing)
	}
	return w.answer(src, argument)
}

func allowed(c *config.Config, name string) bool {
	return name == "srvr" || name == "isro" && c.ReadOnlyMode ||
		slices.Contains(c.FourLetterWords, name) || slices.Contains(c.FourLetterWords, "*")
}

// setTraceMask takes a mask of eight bytes. Apache ZooKeeper selects by it what it traces; here it is only kept.
func setTraceMask(src Source, argument string) string {
	mask := int64(binary.BigEndian.Uint64([]byte(argument)))
	src.SetTraceMask(mask)
	return strconv.FormatInt(mask, 10)
}

// hash lists the digests that the tree had after every 128th zxid.
func hash(src Source) string {
	var b strings.Builder
	for _, d := range src.Digests() {
		fmt.Fprintf(&b, "%x: %d\n", uint64(d.Zxid), int64(d.Digest))
	}
	return b.String()
}

func isro(src Source) string {
	if src.Status().ReadOnly {
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
	fmt.Fprintf(&b, "Zookeeper version: %s\n", versionLine(src))
	if status.ReadOnly {
		b.WriteString("READ-ONLY mode; serving only read-only clients\n")
	}
	b.WriteString(clients)
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
