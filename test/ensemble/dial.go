package ensemble

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
)

// Quiet is a logger for github.com/go-zookeeper/zk that drops everything.
type Quiet struct{}

// Printf does nothing.
func (Quiet) Printf(string, ...any) {}

// Dial opens a session with one of the servers and waits until it stands, at most 15 s.
func Dial(sessionTimeout time.Duration, servers ...string) (*zk.Conn, error) {
	return DialTelling(func(zk.Event) {}, sessionTimeout, servers...)
}

// DialTelling is Dial with a function that is told of the session's events; it must not wait.
func DialTelling(tell func(zk.Event), sessionTimeout time.Duration, servers ...string) (*zk.Conn, error) {
	standing := make(chan struct{}, 1)
	conn, _, err := zk.Connect(servers, sessionTimeout, zk.WithLogger(Quiet{}), zk.WithHostProvider(newGiven(servers)),
		zk.WithDialer(func(network, address string, _ time.Duration) (net.Conn, error) {
			return net.DialTimeout(network, address, time.Second)
		}),
		zk.WithEventCallback(func(event zk.Event) {
			tell(event)
			if event.Type == zk.EventSession && event.State == zk.StateHasSession {
				select {
				case standing <- struct{}{}:
				default:
				}
			}
		}))
	if err != nil {
		return nil, err
	}
	select {
	case <-standing:
		return conn, nil
	case <-time.After(15 * time.Second):
		conn.Close()
		return nil, fmt.Errorf("no session with %v within 15 s", servers)
	}
}

// given is a zk.HostProvider that tries the servers in the order given, over and over. The library's own one gets them
// shuffled, and a test wants to know where its session begins.
type given struct {
	servers   []string
	current   int // -1 before the first
	connected int // where the last session stood, -1 before the first attempt
}

func newGiven(servers []string) *given { return &given{slices.Clone(servers), -1, -1} }

// Init ignores its argument: it is the shuffled list.
func (g *given) Init([]string) error { return nil }

func (g *given) Len() int { return len(g.servers) }

func (g *given) Next() (server string, retryStart bool) {
	g.current = (g.current + 1) % len(g.servers)
	retryStart = g.current == g.connected
	g.connected = max(g.connected, 0)
	return g.servers[g.current], retryStart
}

func (g *given) Connected() { g.connected = g.current }
