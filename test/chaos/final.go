package chaos

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/test/ensemble"
)

// Final turns a tree, read when no client was left, into the last operations of each history: whatever was acknowledged and
// is not there has no order that explains it. It also names what no history covers.
func Final(ops []Op, tree ensemble.Tree, now int64) (last []Op, broken []string) {
	children := make(map[string][]string)
	for at := range tree {
		children[path.Dir(at)] = append(children[path.Dir(at)], path.Base(at))
	}
	keys := make(map[[2]string]bool)
	for _, op := range ops {
		keys[[2]string{op.Kind, op.Key}] = true
		if op.Kind == "set" && op.Do == "add" && op.Fate == Done {
			if name := sequential(op.Arg, op.Number); !has(tree, root+"/set/"+op.Key+"/"+name) {
				broken = append(broken, fmt.Sprintf("lost: %s was added to set %s", name, op.Key))
			}
		}
	}
	for key := range maps.Keys(keys) {
		op := Op{Client: -1, Kind: key[0], Key: key[1], Do: "read", Fate: Done, Call: now, Return: now + 1}
		at := root + "/" + key[0] + "/" + key[1]
		switch key[0] {
		case "register":
			op.Value, op.Told[0] = tree[at].Data, tree[at].Stat.Version
		case "multi":
			a, b := tree[at+"-a"], tree[at+"-b"]
			op.Value, op.Told = a.Data+"|"+b.Data, [2]int32{a.Stat.Version, b.Stat.Version}
		case "set":
			op.Number, op.Hash = int64(len(children[at])), hashNames(children[at])
		case "queue":
			names := children[at]
			slices.SortFunc(names, byNumber)
			op.Do = "list"
			for _, name := range names {
				op.Value += name + ","
			}
		case "lock":
			if has(tree, at) {
				broken = append(broken, fmt.Sprintf("lock %s is there although all sessions have ended", key[1]))
			}
			continue
		}
		last = append(last, op)
	}
	for at, node := range tree {
		if node.Stat.EphemeralOwner != 0 && !strings.HasPrefix(at, root+"/lock/") {
			broken = append(broken, at+" is ephemeral, and all sessions have ended")
		}
	}
	return last, broken
}

func has(tree ensemble.Tree, at string) bool {
	_, ok := tree[at]
	return ok
}
