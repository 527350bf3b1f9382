package clientport

import (
	"net"
	"testing"
	"time"
)

// A port takes as many connections that nobody has accepted yet as it was told to, and no more.
func TestBacklog(t *testing.T) {
	for _, backlog := range []int{0, 2} {
		listener, err := listen("127.0.0.1:0", "client port", backlog)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		connected := 0
		for range 10 {
			conn, err := net.DialTimeout("tcp", listener.Addr().String(), 200*time.Millisecond)
			if err != nil {
				break
			}
			defer conn.Close()
			connected++
		}
		if (connected == 10) != (backlog == 0) {
			t.Errorf("backlog %d: %d of 10 connections", backlog, connected)
		}
	}
}
