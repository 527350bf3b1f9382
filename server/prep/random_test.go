package prep_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

var onlySeed = flag.Uint64("prep.seed", 0, "run random tests with this seed only")

// world is a preparer with its tree, which is a few transactions behind.
type world struct {
	tree     *tree.Tree
	sessions *session.Tracker
	prep     *prep.Preparer
	inFlight []txn.Entry
}

func newWorld() *world { return worldOf(tree.New(tree.Options{ExtendedTypes: true})) }

func worldOf(t *tree.Tree) *world {
	w := &world{tree: t, sessions: session.NewTracker(time.Second)}
	w.prep = prep.New(w.tree, w.sessions, auth.New(auth.Options{}))
	return w
}

func (w *world) prepare(r prep.Request, zxid wire.Zxid) txn.Entry {
	if r.Type == wire.OpCreateSession {
		w.sessions.Add(r.Session, time.Hour, 0)
	}
	e := w.prep.Prepare(r, zxid, int64(zxid)*10)
	w.inFlight = append(w.inFlight, e)
	return e
}

// apply applies the oldest transaction in flight, which must succeed and lead to its digest.
func (w *world) apply() error {
	e := w.inFlight[0]
	w.inFlight = w.inFlight[1:]
	result := w.tree.Apply(e.Header, e.Record, nil)
	w.prep.Applied(e.Header.Zxid)
	if e.Header.Type == wire.OpCloseSession {
		w.sessions.Remove(e.Header.Session)
	}
	if e.Digest != nil && e.Digest.Tree != w.tree.Digest() {
		return fmt.Errorf("%+v %+v carries digest %#x, the tree has %#x", e.Header, e.Record, e.Digest.Tree, w.tree.Digest())
	}
	if e.Header.Type == wire.OpError {
		return nil
	}
	for _, part := range append(result.Multi, result) {
		switch part.Err {
		case wire.ErrNoNode, wire.ErrNodeExists:
			if part.Type != wire.OpError {
				return fmt.Errorf("%+v %+v does not succeed: %v", e.Header, e.Record, part.Err)
			}
		}
	}
	return nil
}

// asker makes requests, of which about half make sense.
type asker struct {
	*rand.Rand
	sessions []wire.SessionID
	last     wire.SessionID
}

var (
	names = []string{"/a", "/a/b", "/a/b/c", "/b", "/b/c", "/a/s", "/", "/zookeeper", "/a/", "a", "//"}
	users = [][]wire.ID{
		{{Scheme: "ip", ID: "10.0.0.1"}},
		{{Scheme: "ip", ID: "10.0.0.2"}, {Scheme: "digest", ID: "u:p"}},
		{{Scheme: "super"}},
	}
	lists = [][]wire.ACL{
		wire.OpenACL(), wire.OpenACL(), wire.OpenACL(), {},
		{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}},
		{{Perms: wire.PermAll &^ wire.PermDelete, ID: wire.AnyoneID}},
		{{Perms: wire.PermAll, ID: wire.ID{Scheme: "ip", ID: "10.0.0.2"}}, {Perms: wire.PermRead, ID: wire.AnyoneID}},
	}
)

func (a *asker) version() int32 { return []int32{-1, -1, -1, 0, 1, 2}[a.IntN(6)] }

func (a *asker) next() prep.Request {
	r := prep.Request{Cxid: a.Int32(), Owner: 1, Auth: users[a.IntN(len(users))]}
	if len(a.sessions) == 0 || a.IntN(30) == 0 {
		a.last++
		a.sessions = append(a.sessions, a.last)
		r.Type, r.Session, r.Body = wire.OpCreateSession, a.last, wire.AppendInt32(nil, 5000)
		return r
	}
	i := a.IntN(len(a.sessions))
	r.Session = a.sessions[i]
	switch p := a.IntN(40); {
	case p == 0:
		if a.IntN(2) == 0 { // otherwise requests of the dying session follow
			a.sessions = append(a.sessions[:i:i], a.sessions[i+1:]...)
		}
		r.Type = wire.OpCloseSession
	case p == 1:
		r.Type, r.Session, r.Body = wire.OpDeleteContainer, 0, wire.AppendString(nil, names[a.IntN(len(names))])
	case p == 2:
		r.Type, r.Body = wire.OpCreate, []byte{0, 0}
	case p < 12:
		r.Type = wire.OpMulti
		for range a.IntN(5) {
			op, body := a.one()
			for op == wire.OpSetACL {
				op, body = a.one()
			}
			r.Body = append(wire.MultiHeader{Type: op, Err: -1}.Append(r.Body), body...)
		}
		r.Body = wire.MultiEnd.Append(r.Body)
	default:
		r.Type, r.Body = a.one()
		if r.Type == wire.OpCheck {
			r.Type, r.Body = wire.OpDelete, wire.VersionRequest{Path: "/a", Version: -1}.Append(nil)
		}
	}
	return r
}

func (a *asker) one() (wire.OpCode, []byte) {
	path := names[a.IntN(len(names))]
	switch a.IntN(9) {
	case 0, 1:
		return wire.OpDelete, wire.VersionRequest{Path: path, Version: a.version()}.Append(nil)
	case 2:
		return wire.OpSetData, wire.SetDataRequest{Path: path, Data: make([]byte, a.IntN(3)), Version: a.version()}.Append(nil)
	case 3:
		return wire.OpSetACL, wire.SetACLRequest{Path: path, ACL: lists[a.IntN(len(lists))], Version: a.version()}.Append(nil)
	case 4:
		return wire.OpCheck, wire.VersionRequest{Path: path, Version: a.version()}.Append(nil)
	}
	q := wire.CreateRequest{Path: path, Data: make([]byte, a.IntN(3)), ACL: lists[a.IntN(len(lists))], Flags: a.Int32N(8)}
	if a.IntN(2) == 0 {
		q.Flags = a.Int32N(2)
	}
	switch {
	case q.Flags == wire.FlagPersistentTTL || q.Flags == wire.FlagPersistentSequentialTTL:
		return wire.OpCreateTTL, wire.CreateTTLRequest{CreateRequest: q, TTL: a.Int64N(3)}.Append(nil)
	case q.Flags == wire.FlagContainer:
		return wire.OpCreateContainer, q.Append(nil)
	}
	return []wire.OpCode{wire.OpCreate, wire.OpCreate2}[a.IntN(2)], q.Append(nil)
}

// TestTransactionsInFlightCount: it makes no difference how many transactions are on their way while the next one is made,
// each succeeds where it comes, and leads to the digest that it carries.
func TestTransactionsInFlightCount(t *testing.T) {
	var codes = make(map[wire.ErrCode]int)
	for seed := uint64(1); seed <= 300; seed++ {
		if *onlySeed != 0 && seed != *onlySeed {
			continue
		}
		if err := race(rand.New(rand.NewPCG(seed, 0)), codes); err != nil {
			t.Fatalf("%v\nagain: go test ./server/prep -run %s -prep.seed=%d", err, t.Name(), seed)
		}
	}
	for _, code := range []wire.ErrCode{
		wire.ErrOK, wire.ErrMarshalling, wire.ErrBadArguments, wire.ErrNoNode, wire.ErrNoAuth, wire.ErrBadVersion,
		wire.ErrNoChildrenForEphemerals, wire.ErrNodeExists, wire.ErrNotEmpty, wire.ErrSessionExpired, wire.ErrInvalidACL,
	} {
		if codes[code] == 0 && *onlySeed == 0 {
			t.Errorf("code %d never came", code)
		}
	}
}

// race compares a world without transactions in flight with one that has some. codes counts outcomes.
func race(r *rand.Rand, codes map[wire.ErrCode]int) error {
	a := &asker{Rand: r}
	plain, busy := newWorld(), newWorld()
	for zxid := wire.Zxid(1); zxid <= 300; zxid++ {
		request := a.next()
		want := plain.prepare(request, zxid)
		if err := plain.apply(); err != nil {
			return err
		}
		got := busy.prepare(request, zxid)
		if !bytes.Equal(got.Bytes, want.Bytes) {
			return fmt.Errorf("%v %q: with %d in flight\n got  %+v %+v\n want %+v %+v", request.Type, request.Body,
				len(busy.inFlight)-1, got.Record, got.Digest, want.Record, want.Digest)
		}
		if refused, ok := got.Record.(*txn.Error); ok {
			codes[refused.Err]++
		} else {
			codes[wire.ErrOK]++
		}
		for n := r.IntN(12); len(busy.inFlight) > n; {
			if err := busy.apply(); err != nil {
				return err
			}
		}
		if err := busy.prep.Valid(); err != nil {
			return fmt.Errorf("after %v: %w", request.Type, err)
		}
	}
	return nil
}
