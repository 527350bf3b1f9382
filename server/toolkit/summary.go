package toolkit

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/tree"
)

const summaryUsage = `USAGE:


SnapshotRecursiveSummary  <snapshot_file>  <starting_node>  <max_depth>


snapshot_file:    path to the zookeeper snapshot
starting_node:    the path in the zookeeper tree where the traversal should begin
max_depth:        defines the depth where the tool still writes to the output. 0 means there is no depth limit, every non-leaf node's stats will be displayed, 1 means it will only contain the starting node's and it's children's stats, 2 ads another level and so on. This ONLY affects the level of details displayed, NOT the calculation.
`

// snapshotSummary is org.apache.zookeeper.server.SnapshotRecursiveSummary.
func snapshotSummary(args []string, o IO) int {
	if len(args) != 3 {
		fmt.Fprint(o.Err, summaryUsage)
		return exitInvalid
	}
	depth, err := strconv.ParseInt(args[2], 10, 32)
	if err != nil {
		fmt.Fprint(o.Err, summaryUsage)
		return exitInvalid
	}
	t, err := o.readTree(args[0])
	if err != nil {
		return o.end(err)
	}
	start, ok := t.Lookup(args[1])
	if !ok {
		return o.end(fmt.Errorf("%s has no node %s", args[0], args[1]))
	}
	s := summary{t: t, maxDepth: int(depth)}
	text, _, _ := s.node(args[1], start, 0)
	out := bufio.NewWriter(o.Out)
	fmt.Fprintln(out, text)
	return o.end(out.Flush())
}

type summary struct {
	t        *tree.Tree
	maxDepth int
}

// node counts a node and those below, and their data, and describes those that are not too deep and have children.
func (s summary) node(path string, n tree.Node, level int) (text string, nodes, dataBytes int64) {
	nodes, dataBytes = 1, int64(len(n.Data()))
	names := children(n)
	if len(names) == 0 {
		return "", nodes, dataBytes
	}
	var below strings.Builder
	for _, name := range names {
		child, _ := s.t.Lookup(join(path, name))
		childText, count, size := s.node(join(path, name), child, level+1)
		below.WriteString(childText)
		nodes += count
		dataBytes += size
	}
	if s.maxDepth != 0 && level > s.maxDepth {
		return "", nodes, dataBytes
	}
	tab := strings.Repeat("--", level)
	return fmt.Sprintf("%s %s\n%[1]s   children: %[3]d\n%[1]s   data: %[4]d\n%[5]s", tab, path, nodes-1, dataBytes, below.String()), nodes, dataBytes
}
