//go:build diff

package diff

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// TestLocalSessions compares ensembles whose members keep sessions to themselves.
func TestLocalSessions(t *testing.T) {
	for _, upgrading := range []bool{false, true} {
		t.Run("Upgrading="+strconv.FormatBool(upgrading), func(t *testing.T) {
			p := servers(t, 3, "localSessionsEnabled=true", "localSessionsUpgradingEnabled="+strconv.FormatBool(upgrading))
			p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
			s := &script{t: t, pair: p}
			localSessions(s)
			t.Logf("%s", p.summary())
		})
	}
}

func localSessions(s *script) {
	const follower, other, leader = 0, 1, 2
	for _, slot := range []int{follower, leader} {
		s.open(slot)
		s.create(slot, "/l", "1")
		s.ask(slot, wire.OpSetData, setData("/l", []byte("2"), 0))
		s.ask(slot, wire.OpMulti, body{}.part(wire.OpCreate, create("/l/m", nil, open, 0)).part(wire.OpCheck, pathVersion("/l", 1)).end())
		s.look(slot, "/l")
		s.ask(slot, wire.OpSync, onlyPath("/"))
		s.ask(slot, wire.OpGetEphemerals, onlyPath("/"))

		// It goes on at the same member, and at no other.
		s.do(step{slot: slot + 2, connect: connection(), from: slot})
		s.do(step{slot: slot, connect: connection(), from: slot})
		s.ask(slot, wire.OpExists, read("/l", false))

		for _, op := range []wire.OpCode{wire.OpCreate, wire.OpCreate2} {
			for _, flags := range []int32{1, 3} {
				s.ask(slot, op, create("/l/e", nil, open, flags))
				s.ask(slot, op, create("/none/e", nil, open, flags))
				s.open(slot)
			}
		}
		s.ask(slot, wire.OpCreateContainer, create("/l/c", nil, open, 1))
		s.ask(slot, wire.OpCreateContainer, create("/l/c", nil, open, 4))
		s.ask(slot, wire.OpCreate, create("/l/e", nil, open, 9))
		s.ask(slot, wire.OpCreate, nil)
		s.ask(slot, wire.OpMulti, nil)
		s.open(slot)
		s.ask(slot, wire.OpMulti, body{}.part(wire.OpCreate, create("/l/f", nil, open, 0)).part(wire.OpCreate, create("/l/e-", nil, open, 3)).end())
		s.ask(slot, wire.OpGetEphemerals, onlyPath("/"))
		s.look(other, "/l")
		s.close(slot)

		// In a multi the flags say what a part creates.
		ephemeral := body{}.part(wire.OpCreate, create("/l/e-", nil, open, 1)).end()
		for _, parts := range []body{
			body{}.part(wire.OpCreateContainer, create("/l/e", nil, open, 1)).end(),
			body{}.part(wire.OpCreateContainer, create("/l/e-", nil, open, 3)).end(),
			body{}.part(wire.OpCreateContainer, create("/l/c", nil, open, 4)).end(),
			body{}.part(wire.OpCreateTTL, createTTL("/l/e", nil, open, 1, 1000)).end(),
			append(body{}.part(wire.OpCreate, create("/l/e", nil, open, 9)), ephemeral...),
		} {
			s.open(slot)
			s.ask(slot, wire.OpMulti, parts)
			s.ask(slot, wire.OpGetEphemerals, onlyPath("/"))
			s.look(other, "/l")
		}
		s.close(slot)

		s.open(slot)
		s.ask(slot, wire.OpCreate, create("/l/g", nil, open, 1))
		s.ask(slot, wire.OpGetEphemerals, onlyPath("/"))
		s.do(step{slot: slot + 2, connect: connection(), from: slot}) // if it was upgraded, it moves
		s.close(slot + 2)
		s.open(slot)
		s.ask(slot, wire.OpGetChildren, read("/l", false))
		for _, path := range []string{"/l/c", "/l/e", "/l/f", "/l/g", "/l/m", "/l"} {
			s.ask(slot, wire.OpDelete, pathVersion(path, -1))
		}
		s.close(slot)
	}
}

// TestReadOnlyMode compares members that have lost the others.
func TestReadOnlyMode(t *testing.T) {
	p := servers(t, 3, "readonlymode.enabled=true", "localSessionsEnabled=true")
	p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
	s := &script{t: t, pair: p}
	s.open(0)
	s.create(0, "/ro", "data")
	s.ask(0, wire.OpCreate, create("/ro/kid", nil, open, 0))
	s.close(0)
	for i, e := range p.ensembles {
		leader := e.Leader()
		left := e.Members()[0]
		if left == leader {
			left = e.Members()[1]
		}
		for _, m := range e.Members() {
			if m != left {
				must(t, m.Kill())
			}
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			if answer, err := left.Ask("isro"); err == nil && answer == "ro" {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("member %d does not become read-only: %q, %v", left.ID, answer, err)
			}
		}
		if answer, err := left.Ask("srvr"); err != nil || !strings.Contains(answer, "Mode: read-only\n") {
			t.Errorf("srvr: %q, %v", answer, err)
		}
		s := []*side{p.ours, p.theirs}[i]
		one := newSide(s.name, []string{left.Addr()})
		one.speech = s.speech
		*s = *one
	}
	readOnly(s)
	t.Logf("%s", p.summary())
}

func readOnly(s *script) {
	reader := func() *wire.ConnectRequest {
		r := connection()
		r.HasReadOnly, r.ReadOnly = true, true
		return r
	}
	s.do(step{slot: 0, connect: connection(), from: -1})
	old := connection()
	old.HasReadOnly = false
	s.do(step{slot: 0, connect: old, from: -1})
	s.do(step{slot: 0, connect: reader(), from: -1})
	s.look(0, "/ro")
	s.ask(0, wire.OpGetChildren, read("/ro", true))
	s.ask(0, wire.OpGetAllChildrenNumber, onlyPath("/"))
	s.ask(0, wire.OpGetEphemerals, onlyPath("/"))
	s.ask(0, wire.OpWhoAmI, nil)
	s.ask(0, wire.OpMultiRead, body{}.part(wire.OpGetData, read("/ro", false)).end())
	s.ask(0, wire.OpAddWatch, pathVersion("/ro", 1))
	s.ask(0, wire.OpRemoveWatches, pathVersion("/ro", 3))
	s.ask(0, wire.OpSetWatches, body{}.long(0).strs([]string{"/ro"}).strs([]string{"/none"}).strs([]string{}))
	s.auth(0, "alice:a")
	s.ask(0, wire.OpCreate, create("/new", nil, open, 0))
	s.ask(0, wire.OpCreate2, create("/new", nil, open, 1))
	s.ask(0, wire.OpCreateContainer, create("/new", nil, open, 4))
	s.ask(0, wire.OpCreateTTL, createTTL("/new", nil, open, 5, 1000))
	s.ask(0, wire.OpDelete, pathVersion("/ro", -1))
	s.ask(0, wire.OpSetData, setData("/ro", nil, -1))
	s.ask(0, wire.OpSetACL, setACL("/ro", open, -1))
	s.ask(0, wire.OpMulti, body{}.part(wire.OpCheck, pathVersion("/ro", -1)).end())
	s.ask(0, wire.OpSync, onlyPath("/"))
	s.ask(0, wire.OpReconfig, body{}.str(null).str(null).str(null).long(-1))
	s.ask(0, wire.OpCreate, nil) // it is not even read
	s.do(step{slot: 1, connect: reader(), from: 0})
	s.do(step{slot: 1, connect: reader(), from: 1, ahead: true})
	s.do(step{slot: 1, connect: reader(), from: 1})
	s.close(1)
	s.do(step{slot: 1, connect: reader(), from: 1})              // it is over
	s.do(step{slot: 0, connect: reader(), from: 1, spoil: true}) // whatever the password
}
