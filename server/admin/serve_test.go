package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

// serve serves the commands of a standalone server on loopback until the test ends.
func serve(t *testing.T, idle time.Duration) (address string) {
	t.Helper()
	return serveSource(t, newFixed(t, node.Standalone), idle)
}

func serveSource(t *testing.T, src Source, idle time.Duration) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, CommandHandler(src, slog.New(slog.DiscardHandler)), Port{Idle: idle}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

const ruok = "GET /commands/ruok HTTP/1.1\r\nHost: x\r\n\r\n"

func expectRuok(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, ruok); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK || err != nil || !strings.Contains(string(body), "ruok") {
		t.Errorf("status %d, %q, %v", r.StatusCode, body, err)
	}
}

// What clients can do wrong costs their own connection only, and no more memory than a bound.
func TestRoughClients(t *testing.T) {
	address := serve(t, 300*time.Millisecond)
	for name, send := range map[string]func(net.Conn){
		"nothing":            func(net.Conn) {},
		"half a request":     func(c net.Conn) { io.WriteString(c, ruok[:20]) },
		"random bytes":       func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n") },
		"a four-letter word": func(c net.Conn) { io.WriteString(c, "mntr") },
		"huge header": func(c net.Conn) {
			io.WriteString(c, ruok[:len(ruok)-2])
			for range 1000 {
				if _, err := fmt.Fprintf(c, "X-Long: %s\r\n", strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		},
		"huge line": func(c net.Conn) {
			for range 1000 {
				if _, err := io.WriteString(c, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		},
		"slow header": func(c net.Conn) {
			for _, b := range []byte(ruok[:len(ruok)-2] + strings.Repeat("X-Slow: 1\r\n", 100)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"body behind a GET": func(c net.Conn) {
			io.WriteString(c, "GET /commands/ruok HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nabc")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, address)
			began := time.Now()
			send(c)
			n, err := io.Copy(io.Discard, c)
			if took := time.Since(began); took > 5*time.Second || n > 1000 {
				t.Errorf("the connection ends after %v with %v, %d bytes", took, err, n)
			}
			expectRuok(t, dial(t, address))
		})
	}
}

// More connections than the bound wait for others to end, and each is served in the end.
func TestConnectionsAreBounded(t *testing.T) {
	address := serve(t, 10*time.Second)
	var open []net.Conn
	for range maxConnections {
		c := dial(t, address)
		expectRuok(t, c)
		open = append(open, c)
	}
	late := dial(t, address)
	io.WriteString(late, ruok)
	late.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := late.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes for a connection above the bound", n)
	}
	open[3].Close()
	late.SetReadDeadline(time.Now().Add(10 * time.Second))
	if r, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("the connection that waited: %v, %v", r, err)
	}
}

// The end does not wait for clients.
func TestServeEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, CommandHandler(newFixed(t, node.Standalone), slog.New(slog.DiscardHandler)), Port{Idle: time.Minute}, slog.New(slog.DiscardHandler))
	}()
	for range maxConnections - 1 {
		dial(t, l.Addr().String())
	}
	expectRuok(t, dial(t, l.Addr().String()))
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}
