package store

import (
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// repetition follows a log that goes back. A learner of Apache ZooKeeper tells a leader what it has applied, not what it
// has logged: if its last leader was gone before it had applied what that one sent, it gets and logs the same once more
// (LearnerHandler and Learner, 3.8.0). Whether what comes then continues what there was is known only if every txn is
// repeated, without a change, before anything new.
type repetition struct {
	seed     maphash.Seed
	logged   []fingerprint // of the txns above the snapshot, in order
	goesBack bool
	next     int // where in logged the next txn is expected; len(logged) if nothing is being repeated
}

type fingerprint struct {
	zxid wire.Zxid
	sum  uint64
}

// of leaves out the digest, which a leader that reads its log need not send.
func (r *repetition) of(e txn.Entry) fingerprint {
	content := e.Bytes
	if e.Digest != nil {
		content = content[:len(content)-txn.DigestBytes]
	}
	return fingerprint{e.Header.Zxid, maphash.Bytes(r.seed, content)}
}

// add notes a txn that is new.
func (r *repetition) add(e txn.Entry) {
	r.logged = append(r.logged, r.of(e))
	r.next = len(r.logged)
}

// again notes a txn that the log had before. It returns ErrIncomplete if it is another, or not the next one.
func (r *repetition) again(e txn.Entry) error {
	f := r.of(e)
	i, found := slices.BinarySearchFunc(r.logged, f.zxid, func(f fingerprint, z wire.Zxid) int { return int(f.zxid - z) })
	if !found || r.logged[i] != f || i > r.next {
		return fmt.Errorf("transaction %v is in the log once more, and differs or leaves some out: %w", f.zxid, ErrIncomplete)
	}
	r.next, r.goesBack = i+1, true
	return nil
}

// end returns ErrIncomplete if something was repeated, but not all.
func (r *repetition) end() error {
	if r.next == len(r.logged) {
		return nil
	}
	return fmt.Errorf("the log goes back and does not come again to transaction %v: %w", r.logged[r.next].zxid, ErrIncomplete)
}
