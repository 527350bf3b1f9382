package server

import (
	"math"
	"testing"

	"github.com/zkctl/zkctl/server/config"
)

// TestConnectionsLeaveDescriptors: clients never get all of them.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	const three = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=5\nsyncLimit=5\n"
	for _, c := range []struct {
		lines     string
		openFiles uint64
		want      int
	}{
		{"", 4096, 4096 - 500},
		{three, 4096, 4096 - 500 - 24},
		{three + "maxCnxns=100\n", 4096, 100},
		{three + "maxCnxns=5000\n", 4096, 4096 - 500 - 24},
		{three, 1024, 512},
		{three, 1 << 63, 1<<30 - 500 - 24},
	} {
		cfg, err := config.Parse("zoo.cfg", []byte("dataDir=/d\nclientPort=1\n"+c.lines))
		if err != nil {
			t.Fatal(err)
		}
		if got := maxConnections(cfg, c.openFiles); got != c.want {
			t.Errorf("%q with %d files: %d connections, want %d", c.lines, c.openFiles, got, c.want)
		}
	}
}

// TestRequestBytes: what requests may take follows from the memory that there is, and from who shares a leader.
func TestRequestBytes(t *testing.T) {
	const three = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=5\nsyncLimit=5\n"
	for _, c := range []struct {
		lines       string
		memoryLimit int64
		want        int
	}{
		{"", math.MaxInt64, 24 << 20},
		{three, math.MaxInt64, 12 << 20},
		{three, 160 << 20, 5 << 20},
		{three, 10 << 20, 1<<20 - 1},
		{three + "jute.maxbuffer=20000000\n", math.MaxInt64, 20_000_000},
		{three + "largeRequestMaxBytes=20000000\n", math.MaxInt64, 12 << 20},
		{three + "largeRequestThreshold=100000\nlargeRequestMaxBytes=20000000\n", math.MaxInt64, 20_000_000},
	} {
		cfg, err := config.Parse("zoo.cfg", []byte("dataDir=/d\nclientPort=1\n"+c.lines))
		if err != nil {
			t.Fatal(err)
		}
		if got := requestBytes(cfg, c.memoryLimit); got != c.want {
			t.Errorf("%q with %d bytes: %d bytes of requests, want %d", c.lines, c.memoryLimit, got, c.want)
		}
	}
}
