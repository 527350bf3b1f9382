package admin

import (
	"cmp"
	"fmt"
	"strings"
)

func conf(src Source) string {
	c := src.Config()
	var b strings.Builder
	members := src.Members()
	self, _ := members.Member(c.ServerID)
	fmt.Fprintf(&b, "clientPort=%d\nsecureClientPort=%d\n", clientPort(src), cmp.Or(c.TLS.SecureClientPort, -1))
	fmt.Fprintf(&b, "dataDir=%s\ndataDirSize=%d\n", c.SnapDir(), dirBytes(c.SnapDir()))
	fmt.Fprintf(&b, "dataLogDir=%s\ndataLogSize=%d\n", c.LogDir(), dirBytes(c.LogDir()))
	fmt.Fprintf(&b, "tickTime=%d\nmaxClientCnxns=%d\n", c.TickTime.Milliseconds(), c.MaxClientCnxns)
	fmt.Fprintf(&b, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n", c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds())
	fmt.Fprintf(&b, "clientPortListenBacklog=%d\nserverId=%d\n", c.ListenBacklog, c.ServerID)
	if !c.Distributed {
		return b.String()
	}
	role := 0
	if self.Observer {
		role = 1
	}
	fmt.Fprintf(&b, "initLimit=%d\nsyncLimit=%d\nelectionAlg=3\n", c.InitLimit, c.SyncLimit)
	fmt.Fprintf(&b, "electionPort=%d\nquorumPort=%d\npeerType=%d\n", self.ElectionPort, self.QuorumPort, role)
	if !src.Status().ReadOnly {
		fmt.Fprintf(&b, "membership: \n%s", members.Text())
	}
	return b.String()
}

// clientAddress is where this server serves clients: as its membership says, or its configuration; the port is 0 if it
// does not.
func clientAddress(src Source) (host string, port int) {
	c := src.Config()
	if self, _ := src.Members().Member(c.ServerID); self.ClientPort != 0 {
		return self.ClientHost, self.ClientPort
	}
	return cmp.Or(c.ClientHost, "0.0.0.0"), c.ClientPort
}

// clientPort is -1 if there is none.
func clientPort(src Source) int {
	if _, port := clientAddress(src); port != 0 {
		return port
	}
	return -1
}

// ownClientAddress is host:port of clientAddress, "" for nowhere.
func ownClientAddress(src Source) string {
	host, port := clientAddress(src)
	if port == 0 {
		return ""
	}
	return hostPort(host, port)
}

func dirs(src Source) string {
	c := src.Config()
	return fmt.Sprintf("datadir_size: %d\nlogdir_size: %d\n", dirBytes(c.SnapDir()), dirBytes(c.LogDir()))
}
