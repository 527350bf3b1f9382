package clientport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// elsewhere is an address of this host that nobody else uses.
func elsewhere() string {
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.IntN(250), 1+rand.IntN(250), 1+rand.IntN(250), 2000+rand.IntN(9000))
}

func (s *stand) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func answers(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// TestMove: the port goes to another address, and back; whoever is connected stays.
func TestMove(t *testing.T) {
	first, second := elsewhere(), elsewhere()
	s := newStand(t, func(c *Config) { c.Address = first })
	client := s.connect()
	s.Move(first)
	if !answers(first) {
		t.Error("it was to stay where it is")
	}
	s.Move(second)
	s.await("the port opens at the new address", func() bool { return answers(second) })
	s.await("it closes at the old one", func() bool { return !answers(first) })
	client.send(request(1, wire.OpCreate, "still here"))
	client.expect(1, "still here")
	if s.Address().String() != second {
		t.Errorf("it says it is at %v", s.Address())
	}
	s.connect()
	s.Move(first)
	s.await("the port comes back", func() bool { return answers(first) })
}

// TestMoveToATakenAddress: the port opens as soon as the address is free, unless it is wanted elsewhere before.
func TestMoveToATakenAddress(t *testing.T) {
	s := newStand(t, nil)
	first, taken := s.Address().String(), elsewhere()
	other, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.Move(taken)
	s.await("the port closes", func() bool { return !answers(first) })
	third := elsewhere()
	s.Move(third)
	s.await("the port opens at a third address", func() bool { return answers(third) })
	s.Move(taken)
	other.Close()
	s.await("the address is free", func() bool { return answers(taken) })
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"0.0.0.0:2181", "[::]:2181", true},
		{":2181", "0.0.0.0:2181", true},
		{"127.0.0.1:2181", "127.0.0.1:2181", true},
		{"127.0.0.1:2181", "127.0.0.1:2182", false},
		{"0.0.0.0:2181", "127.0.0.1:2181", false},
		{"zk1:2181", "zk1:2181", true},
		{"nonsense", "nonsense", false},
	} {
		if got := sameAddress(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
