package workload

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

func TestCheckFindsBrokenPromises(t *testing.T) {
	l := &Load{nodes: make(map[string]state)}
	l.outcome(nil, "/kept", present, absent)
	l.outcome(nil, "/lost", present, absent)
	l.outcome(nil, "/deleted", absent, present)
	l.outcome(zk.ErrConnectionClosed, "/maybe", present, absent)
	l.outcome(zk.ErrNoServer, "/never", present, absent)
	good := ensemble.Tree{"/kept": {Data: "/kept"}, "/lost": {Data: "/lost"}}
	if broken := l.Check(good); len(broken) != 0 {
		t.Errorf("kept promises are called broken: %q", broken)
	}
	bad := ensemble.Tree{"/kept": {Data: "other"}, "/deleted": {Data: "/deleted"}, "/never": {Data: "/never"}, "/maybe": {Data: "/maybe"}}
	if broken := l.Check(bad); len(broken) != 4 {
		t.Errorf("want 4 broken promises, got %q", broken)
	}
}

func TestOutcomes(t *testing.T) {
	l := &Load{nodes: make(map[string]state)}
	for err, want := range map[error]fate{
		zk.ErrNoServer: notDone, zk.ErrNoNode: notDone, zk.ErrNodeExists: notDone,
		zk.ErrConnectionClosed: unknown, zk.ErrSessionExpired: unknown, errors.New("anything else"): unknown,
	} {
		if got := l.count(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func TestLinearizable(t *testing.T) {
	forever := int64(math.MaxInt64)
	for _, c := range []struct {
		name    string
		history []operation
		ok      bool
	}{
		{"read what was written", []operation{
			{client: 1, kind: createRegister, value: "a", call: 1, end: 2},
			{client: 2, kind: readRegister, value: "a", call: 3, end: 4},
		}, true},
		{"stale read", []operation{
			{client: 1, kind: createRegister, value: "a", call: 1, end: 2},
			{client: 1, kind: setRegister, value: "b", call: 3, end: 4},
			{client: 2, kind: readRegister, value: "a", call: 5, end: 6},
		}, false},
		{"lost create", []operation{
			{client: 1, kind: createRegister, value: "a", call: 1, end: 2},
			{client: 2, kind: createRegister, value: "b", call: 3, end: 4},
		}, false},
		{"unknown write seen late", []operation{
			{client: 1, kind: createRegister, value: "a", call: 1, end: 2},
			{client: 1, kind: setRegister, value: "b", fate: unknown, call: 3, end: forever},
			{client: 2, kind: readRegister, value: "a", call: 5, end: 6},
			{client: 2, kind: readRegister, value: "b", call: 7, end: 8},
		}, true},
		{"unknown write never seen", []operation{
			{client: 1, kind: createRegister, value: "a", fate: unknown, call: 1, end: forever},
			{client: 2, kind: readRegister, value: "", call: 5, end: 6},
		}, true},
	} {
		l := &Load{history: c.history}
		if _, err := l.Linearizable(10 * time.Second); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
