package chaos

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// order checks what one session sees, over all of its connections: the zxids of its replies never go back, and no znode
// is ever seen older than before, or than the session itself has made it (ZooKeeper Programmer's Guide, "Consistency
// Guarantees": sequential consistency, single system image). It is about znodes that nobody deletes.
type order struct {
	seen  wire.Zxid
	nodes map[string]wire.Zxid // by path, mzxid or pzxid of the newest state seen
	// lax allows that a reply shows a change that its own zxid does not cover yet: Apache ZooKeeper notes the zxid after
	// it has changed the tree (DataTree.processTxn), and reads of other sessions run meanwhile.
	lax bool
}

// reply notes the zxid of a reply and returns what is wrong with it.
func (o *order) reply(zxid wire.Zxid) string {
	if zxid <= 0 {
		return "" // an error before anything was done
	}
	if zxid.Counter() == 0 {
		// No txn has such a zxid: a leader of Apache ZooKeeper shows it from the beginning of its epoch, while its followers
		// go on showing the last txn of the one before. It has all that was ever committed before.
		return ""
	}
	if zxid < o.seen {
		return fmt.Sprintf("the zxid went back from %v to %v", o.seen, zxid)
	}
	o.seen = zxid
	return ""
}

// node notes that a znode was seen, or made, in the state that the transaction zxid gave it.
func (o *order) node(path string, zxid wire.Zxid) string {
	if o.nodes == nil {
		o.nodes = make(map[string]wire.Zxid)
	}
	before := o.nodes[path]
	if zxid < before {
		return fmt.Sprintf("%s went back from %v to %v", path, before, zxid)
	}
	o.nodes[path] = zxid
	if zxid > o.seen && !o.lax {
		return fmt.Sprintf("%s was changed by %v, and the reply is only of %v", path, zxid, o.seen)
	}
	return ""
}

// missing notes that a znode was not there.
func (o *order) missing(path string) string {
	if before := o.nodes[path]; before != 0 {
		return fmt.Sprintf("%s, seen as of %v, is missing", path, before)
	}
	return ""
}
