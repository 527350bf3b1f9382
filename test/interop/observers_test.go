//go:build interop

package interop

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestObserverMasters lets followers serve an observer, of all combinations of the two implementations.
func TestObserverMasters(t *testing.T) {
	for _, c := range []struct{ voters, observer ensemble.Kind }{{ours, ours}, {ours, apache}, {apache, ours}} {
		t.Run(fmt.Sprintf("%v serves %v", c.voters, c.observer), func(t *testing.T) { observerMasters(t, c.voters, c.observer) })
	}
}

// figure is a value of mntr.
func figure(t *testing.T, m *ensemble.Member, name string) string {
	t.Helper()
	value, err := m.Figure(name)
	must(t, err)
	return value
}

func observerMasters(t *testing.T, voters, observer ensemble.Kind) {
	ports, err := ensemble.FreePorts(1)
	must(t, err)
	e := layOutWith(t, ensemble.Settings{
		Observers: 1, OwnHosts: true, Extra: []string{fmt.Sprint("observerMasterPort=", ports[0])},
	}, voters, voters, voters, observer)
	must(t, e.Start(1, 2, 3))
	must(t, e.Await(patience))
	writer := dial(t, e.Leader().Addr())
	_, err = writer.Create("/n", nil, 0, open)
	must(t, err)
	fill := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			_, err := writer.Create(fmt.Sprintf("/n/%d", i), []byte("data"), 0, open)
			must(t, err)
		}
	}
	fill(0, 100)
	late := e.Member(4)
	must(t, late.Start())
	must(t, e.Await(patience))

	master := func() *ensemble.Member {
		t.Helper()
		id, err := strconv.Atoi(figure(t, late, "zk_observer_master_id"))
		must(t, err)
		return e.Member(id)
	}
	first := master()
	if first == nil || first == e.Leader() {
		t.Fatalf("the observer's master is %v", first)
	}
	if n := figure(t, first, "zk_synced_observers"); n != "1" {
		t.Errorf("its master has %q observers", n)
	}
	if n := figure(t, e.Leader(), "zk_synced_observers"); n != "0" {
		t.Errorf("the leader has %q observers", n)
	}

	client := dial(t, append([]string{late.Addr()}, first.Addr())...)
	seen := func(path string) {
		t.Helper()
		_, err := client.Sync("/")
		must(t, err)
		exists, _, err := client.Exists(path)
		if err != nil || !exists {
			t.Errorf("%s is not at the observer after a sync: %v", path, err)
		}
	}
	seen("/n/99")
	_, err = client.Create("/mine", nil, zk.FlagEphemeral, open)
	must(t, err)
	_, _, events, err := client.GetW("/n")
	must(t, err)
	_, err = writer.Set("/n", []byte("new"), -1)
	must(t, err)
	select {
	case event := <-events:
		if event.Type != zk.EventNodeDataChanged {
			t.Errorf("the event is %v", event)
		}
	case <-time.After(patience):
		t.Error("no event")
	}
	if stat, err := client.Multi(&zk.CheckVersionRequest{Path: "/n", Version: 1}, &zk.SetDataRequest{Path: "/n", Data: []byte("x"), Version: 1}); err != nil {
		t.Errorf("multi: %v %v", stat, err)
	}
	fill(100, 200)
	seen("/n/199")

	// Its session lives for longer than its timeout, by way of both servers.
	time.Sleep(7 * time.Second)
	if exists, _, err := writer.Exists("/mine"); err != nil || !exists {
		t.Errorf("a session at an observer has ended: %v", err)
	}

	// The observer finds another master, and what it missed.
	must(t, first.Kill())
	fill(200, 300)
	must(t, ensemble.Until(patience, "another master", func() bool { return late.Mode() == "observer" }))
	if second := master(); second == first || second == e.Leader() {
		t.Errorf("the observer's master is member %d", second.ID)
	}
	must(t, ensemble.Until(patience, "the session to go on", func() bool {
		_, err := client.Sync("/")
		return err == nil
	}))
	seen("/n/299")
	if exists, _, err := writer.Exists("/mine"); err != nil || !exists {
		t.Errorf("a session at an observer has ended with the connection to its master: %v", err)
	}

	// A session moves from the observer to its master.
	must(t, first.Start())
	must(t, e.Await(patience))
	must(t, late.Kill())
	must(t, ensemble.Until(patience, "the session at the follower", func() bool {
		_, err := client.Create("/moved", nil, zk.FlagEphemeral, open)
		return err == nil || err == zk.ErrNodeExists
	}))
	client.Close()
	gone(t, writer, "/mine", 5*time.Second) // before it could expire
	must(t, late.Start())
	must(t, e.Await(patience))
	writer.Close()
	_, err = e.SameTrees()
	must(t, err)
}

// TestObserverWithoutLog: what an observer that keeps no log missed while it was down, it gets from its leader.
func TestObserverWithoutLog(t *testing.T) {
	for _, voters := range []ensemble.Kind{ours, apache} {
		e := layOutWith(t, ensemble.Settings{Observers: 1, Extra: []string{"syncEnabled=false"}}, voters, voters, voters, ours)
		must(t, e.Start())
		must(t, e.Await(patience))
		writer := dial(t, e.Leader().Addr())
		for round := range 4 {
			for i := range 50 {
				_, err := writer.Create(fmt.Sprintf("/%d-%d", round, i), nil, 0, open)
				must(t, err)
			}
			if late := e.Member(4); round%2 == 1 {
				must(t, late.Kill())
				must(t, late.Start())
				must(t, e.Await(patience))
			}
		}
		writer.Close()
		_, err := e.SameTrees()
		must(t, err)
		e.Close()
	}
}
