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
	clientPort := cmp.Or(self.ClientPort, c.ClientPort)
	if clientPort == 0 {
		clientPort = -1
	}
	fmt.Fprintf(&b, "clientPort=%d\nsecureClientPort=-1\n", clientPort)
	fmt.Fprintf(&b, "dataDir=%s\ndataDirSize=%d\n", c.SnapDir(), dirBytes(c.SnapDir()))
	fmt.Fprintf(&b, "dataLogDir=%s\ndataLogSize=%d\n", c.LogDir(), dirBytes(c.LogDir()))
	fmt.Fprintf(&b, "tickTime=%d\nmaxClientCnxns=%d\n", c.TickTime.Milliseconds(), c.MaxClientCnxns)
	fmt.Fprintf(&b, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n", c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds())
	fmt.Fprintf(&b, "clientPortListenBacklog=-1\nserverId=%d\n", c.ServerID)
	if !c.Distributed {
		return b.String()
	}
	role := 0
	if self.Observer {
		role = 1
	}
	fmt.Fprintf(&b, "initLimit=%d\nsyncLimit=%d\nelectionAlg=3\n", c.InitLimit, c.SyncLimit)
	fmt.Fprintf(&b, "electionPort=%d\nquorumPort=%d\npeerType=%d\n", self.ElectionPort, self.QuorumPort, role)
	fmt.Fprintf(&b, "membership: \n%s", members.Text())
	return b.String()
}

func dirs(src Source) string {
	c := src.Config()
	return fmt.Sprintf("datadir_size: %d\nlogdir_size: %d\n", dirBytes(c.SnapDir()), dirBytes(c.LogDir()))
}
