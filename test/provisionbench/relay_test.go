package provisionbench

import (
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// relay stands for a long line to a host: what connects to the address reaches the host, each way takes half the round trip
// longer, and so does the handshake of TCP, of which the first bytes pay for the whole. Bandwidth is not bounded. (A kernel
// has sch_netem for this; not every kernel has it.)
func relay(t testing.TB, from, to string, ports []int, roundTrip time.Duration) {
	t.Helper()
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(from, strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				near, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer near.Close()
					time.Sleep(roundTrip)
					far, err := net.Dial("tcp", net.JoinHostPort(to, strconv.Itoa(port)))
					if err != nil {
						near.(*net.TCPConn).SetLinger(0) // refused is what it would be
						return
					}
					defer far.Close()
					done := make(chan struct{}, 2)
					go func() { late(far, near, roundTrip/2); done <- struct{}{} }()
					go func() { late(near, far, roundTrip/2); done <- struct{}{} }()
					<-done
					<-done
				}()
			}
		}()
	}
}

// late copies from one connection to another, every byte so much later.
func late(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close()
			io.Copy(io.Discard, from)
		}
	}
	to.(*net.TCPConn).CloseWrite()
}
