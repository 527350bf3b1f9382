package admin

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

func cons(src Source) string {
	var b strings.Builder
	for _, c := range src.Connections() {
		fmt.Fprintf(&b, " %s\n", connection(src, c))
	}
	b.WriteByte('\n')
	return b.String()
}

// shortConnection is a connection as stat shows it.
func shortConnection(c Connection) string {
	return fmt.Sprintf("/%s[%d](queued=%d,recved=%d,sent=%d)", javaAddress(c.Remote), interestOps(c), c.Queued, c.Received, c.Sent)
}

// interestOps is what a selector of Java waits for: 1 to read, 0 for nothing any more.
func interestOps(c Connection) int {
	if c.Word {
		return 0
	}
	return 1
}

// lastResponseMillis is when the connection was last answered, by a clock that begins with the server; 0 for never.
func lastResponseMillis(src Source, c Connection) int64 {
	if c.LastResponse.IsZero() {
		return 0
	}
	return c.LastResponse.Sub(src.Started()).Milliseconds()
}

func connection(src Source, c Connection) string {
	short := shortConnection(c)
	if c.Session == 0 {
		return short
	}
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(short, ")"))
	fmt.Fprintf(&b, ",sid=%v,lop=%s,est=%d,to=%d", c.Session, shortName(c), c.Established.UnixMilli(), c.Timeout.Milliseconds())
	if c.LastXid >= 0 {
		fmt.Fprintf(&b, ",lcxid=0x%x", c.LastXid)
	}
	fmt.Fprintf(&b, ",lzxid=%v,lresp=%d,llat=%d", c.LastZxid, lastResponseMillis(src, c), c.LastLatency.Milliseconds())
	fmt.Fprintf(&b, ",minlat=%d,avglat=%d,maxlat=%d)",
		c.Latency.Min.Milliseconds(), int64(avgMillis(c.Latency)), c.Latency.Max.Milliseconds())
	return b.String()
}

// shortNames are those of FinalRequestProcessor.
var shortNames = map[wire.OpCode]string{
	wire.OpPing: "PING", wire.OpCreateSession: "SESS", wire.OpCloseSession: "CLOS", wire.OpMulti: "MULT",
	wire.OpMultiRead: "MLTR", wire.OpCreate: "CREA", wire.OpCreate2: "CREA", wire.OpCreateContainer: "CREA",
	wire.OpCreateTTL: "CREA", wire.OpDelete: "DELE", wire.OpExists: "EXIS", wire.OpGetData: "GETD",
	wire.OpSetData: "SETD", wire.OpGetACL: "GETA", wire.OpSetACL: "SETA", wire.OpGetChildren: "GETC",
	wire.OpGetChildren2: "GETC", wire.OpGetAllChildrenNumber: "GETACN", wire.OpGetEphemerals: "GETE",
	wire.OpSync: "SYNC", wire.OpCheck: "CHEC", wire.OpSetWatches: "SETW", wire.OpSetWatches2: "STW2",
	wire.OpAddWatch: "ADDW", wire.OpCheckWatches: "CHKW", wire.OpRemoveWatches: "REMW", wire.OpReconfig: "RECO",
	wire.OpWhoAmI: "HOMI",
}

func shortName(c Connection) string {
	if name, ok := shortNames[c.LastOp]; ok {
		return name
	}
	return "NA"
}

func wchs(src Source) string {
	c := src.Watches().Counts()
	return fmt.Sprintf("%d connections watching %d paths\nTotal watches:%d\n", c.DataWatchers, c.DataPaths, c.DataTotal)
}

// wchc lists the watched paths of each session.
func wchc(src Source) string {
	paths := watchedBySession(src)
	var b strings.Builder
	for _, id := range sortedSessions(paths) {
		fmt.Fprintf(&b, "%v\n\t%s\n", id, strings.Join(paths[id], "\n\t"))
	}
	b.WriteByte('\n')
	return b.String()
}

func watchedBySession(src Source) map[wire.SessionID][]string {
	session := sessionsOf(src)
	paths := make(map[wire.SessionID][]string)
	for _, e := range src.Watches().ByPath() {
		for _, w := range e.Watchers {
			if id, ok := session[w]; ok {
				paths[id] = append(paths[id], e.Path)
			}
		}
	}
	return paths
}

// wchp lists the sessions that watch each path.
func wchp(src Source) string {
	session := sessionsOf(src)
	var b strings.Builder
	for _, e := range src.Watches().ByPath() {
		fmt.Fprintf(&b, "%s\n", e.Path)
		for _, w := range e.Watchers {
			if id, ok := session[w]; ok {
				fmt.Fprintf(&b, "\t%v\n", id)
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func sessionsOf(src Source) map[watch.Watcher]wire.SessionID {
	of := make(map[watch.Watcher]wire.SessionID)
	for _, c := range src.Connections() {
		of[c.ID] = c.Session
	}
	return of
}

// javaAddress is ip:port as Java writes it: an address of version 6 with all its groups.
func javaAddress(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := at.Addr().Unmap()
	if addr.Is4() {
		return netip.AddrPortFrom(addr, at.Port()).String()
	}
	groups := make([]string, 8)
	b := addr.As16()
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(b[2*i])<<8|uint64(b[2*i+1]), 16)
	}
	host := strings.Join(groups, ":")
	if zone := addr.Zone(); zone != "" {
		host += "%" + zone
	}
	return "[" + host + "]:" + strconv.Itoa(int(at.Port()))
}
