package chaos

import (
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/test/ensemble"
)

// item is what is known of an element of a set or queue when all is over.
type item struct {
	name string
	seen int64 // the earliest time at which somebody knew its name, which is when it was there
	left bool  // it is in the last tree
	took bool  // somebody was told that he took it
	lost []int // takes whose answer was lost
}

// Settle finds out what became of additions and takes whose answers were lost, from the tree that was left in the end and
// the names that takers knew. No element comes twice, since names are unique, and none goes but by a take that names it.
// So an addition happened if and only if its name is left or was taken by someone, perhaps, and its name tells its number;
// and a take happened if the element is gone and nobody else took it. What did not happen is dropped: it explains nothing.
// Without this the checker would try all ways in which dozens of operations without an end may have happened.
func Settle(ops []Op, tree ensemble.Tree, now int64) []Op {
	items := make(map[string]*item) // by directory and the name without its number
	at := func(op Op, prefix string) string { return root + "/" + op.Kind + "/" + op.Key + "/" + prefix }
	find := func(path string) *item {
		e := items[path[:len(path)-10]]
		if e == nil {
			e = &item{name: path, seen: forever}
			items[path[:len(path)-10]] = e
		}
		return e
	}
	for path := range tree {
		if strings.Count(path, "/") == 4 { // below a set or a queue
			e := find(path)
			e.left, e.seen = true, min(e.seen, now)
		}
	}
	for i, op := range ops {
		if op.Do != "take" {
			continue
		}
		e := find(at(op, op.Value))
		e.seen = min(e.seen, op.Call)
		switch op.Fate {
		case Done:
			e.took = true
		case Unknown:
			e.lost = append(e.lost, i)
		}
	}
	settled := make([]Op, 0, len(ops))
	for i, op := range ops {
		switch {
		case op.Fate != Unknown:
		case op.Do == "add" || op.Do == "put":
			e := items[at(op, op.Arg)]
			if e == nil {
				continue
			}
			op.Fate, op.Number, op.Return = Done, number(e.name), e.seen
		case op.Do == "take":
			// Of several one took it: which, makes no difference but for the time, which is that of the first or later.
			e := find(at(op, op.Value))
			if e.left || e.took || e.lost[0] != i {
				continue
			}
			op.Fate = Done
		}
		settled = append(settled, op)
	}
	return slices.Clip(settled)
}

// number is that of a sequential znode.
func number(name string) int64 {
	n, err := strconv.ParseInt(name[len(name)-10:], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
