//go:build !linux

package peer

import (
	"net"
	"time"
)

func limitUnacknowledged(net.Conn, time.Duration) {}
