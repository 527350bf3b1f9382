package toolkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/tree"
)

const comparerHelp = `usage: java -cp <classPath> org.apache.zookeeper.server.SnapshotComparer
 -b,--bytes <BYTETHRESHOLD>   (Required) The node data delta size threshold, in bytes, for printing the node.
 -d,--debug                   Use debug output.
 -i,--interactive             Enter interactive mode.
 -l,--left <LEFT>             (Required) The left snapshot file.
 -n,--nodes <NODETHRESHOLD>   (Required) The descendant node delta size threshold, in nodes, for printing the node.
 -r,--right <RIGHT>           (Required) The right snapshot file.
`

var comparerOptions = []option{
	{short: 'l', long: "left", hasValue: true, required: true},
	{short: 'r', long: "right", hasValue: true, required: true},
	{short: 'b', long: "bytes", hasValue: true, required: true},
	{short: 'n', long: "nodes", hasValue: true, required: true},
	{short: 'd', long: "debug"},
	{short: 'i', long: "interactive"},
}

// snapshotComparer is org.apache.zookeeper.server.SnapshotComparer.
func snapshotComparer(args []string, o IO) int {
	p, err := parseOptions(comparerOptions, args)
	if err != nil {
		fmt.Fprintln(o.Err, err)
		fmt.Fprint(o.Out, comparerHelp)
		return exitInvalid
	}
	out := bufio.NewWriter(o.Out)
	c := comparer{out: out, debug: p.has('d'), interactive: p.has('i')}
	for short, threshold := range map[byte]*int64{'b': &c.bytes, 'n': &c.nodes} {
		if *threshold, err = strconv.ParseInt(p.values[short], 10, 32); err != nil {
			return o.end(fmt.Errorf("-%c: %w", short, err))
		}
	}
	fmt.Fprintln(out, "Successfully parsed options!")
	if c.left, err = o.readProfile(p.values['l'], out); err == nil {
		c.right, err = o.readProfile(p.values['r'], out)
	}
	if err != nil {
		return o.end(errors.Join(out.Flush(), err))
	}
	fmt.Fprintln(out, c.left)
	fmt.Fprintln(out, c.right)
	if c.interactive {
		err = c.converse(bufio.NewReader(o.In))
	} else {
		c.printThresholds()
		for depth := range max(len(c.left.layers), len(c.right.layers)) {
			fmt.Fprintf(out, "Analysis for depth %d\n", depth)
			c.layer(depth)
		}
	}
	if err == nil {
		fmt.Fprintln(out, "All layers compared.")
	}
	return o.end(errors.Join(out.Flush(), err))
}

// profile is a tree as the comparer sees it.
type profile struct {
	count  int64
	root   *profiled
	layers [][]*profiled
	byName map[string]*profiled
}

// profiled is a node: its path, "" for the root, and how much there is below it, its own data included.
type profiled struct {
	path         string
	children     []*profiled
	bytes, count int64
}

func (o IO) readProfile(name string, out io.Writer) (*profile, error) {
	began := time.Now()
	t, err := o.readTree(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Deserialized snapshot in %s in %f seconds\n", filepath.Base(name), time.Since(began).Seconds())
	began = time.Now()
	p := &profile{byName: make(map[string]*profiled)}
	root, _ := t.Lookup(tree.RootPath)
	p.root = p.add(t, root, "", 0)
	for _, layer := range p.layers {
		slices.SortFunc(layer, func(a, b *profiled) int { return strings.Compare(a.path, b.path) })
	}
	fmt.Fprintf(out, "Processed data tree in %f seconds\n", time.Since(began).Seconds())
	return p, nil
}

func (p *profile) add(t *tree.Tree, n tree.Node, path string, depth int) *profiled {
	self := &profiled{path: path, bytes: int64(len(n.Data()))}
	for _, name := range children(n) {
		child, _ := t.Lookup(path + "/" + name)
		below := p.add(t, child, path+"/"+name, depth+1)
		self.children = append(self.children, below)
		self.bytes += below.bytes
		self.count += below.count
	}
	self.count += int64(len(self.children))
	for len(p.layers) <= depth {
		p.layers = append(p.layers, nil)
	}
	p.layers[depth] = append(p.layers[depth], self)
	p.byName[path] = self
	p.count++
	return self
}

// String is what is told of a tree as a whole.
func (p *profile) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Node count: %d\nTotal size: %d\nMax depth: %d\n", p.count, p.root.bytes, len(p.layers))
	for i, layer := range p.layers {
		fmt.Fprintf(&b, "Count of nodes at depth %d: %d\n", i, len(layer))
	}
	return b.String()
}

func (p *profile) layer(depth int) []*profiled {
	if depth >= len(p.layers) {
		return nil
	}
	return p.layers[depth]
}

// comparer tells in what two trees differ.
type comparer struct {
	out                *bufio.Writer
	left, right        *profile
	bytes, nodes       int64
	debug, interactive bool
}

func (c *comparer) printThresholds() {
	fmt.Fprintf(c.out, "Printing analysis for nodes difference larger than %d bytes or node count difference larger than %d.\n", c.bytes, c.nodes)
}

func (c *comparer) layer(depth int) { c.compare(c.left.layer(depth), c.right.layer(depth)) }

// converse asks what to compare.
func (c *comparer) converse(in *bufio.Reader) error {
	layers := max(len(c.left.layers), len(c.right.layers))
	for depth := 0; depth < layers; {
		fmt.Fprintf(c.out, "Current depth is %d\n", depth)
		fmt.Fprintln(c.out, "- Press enter to move to print current depth layer;\n- Type a number to jump to and print all nodes at a given depth;\n- Enter an ABSOLUTE path to print the immediate subtree of a node. Path must start with '/'.")
		if err := c.out.Flush(); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			return errors.New("no line found")
		}
		line = strings.TrimRight(line, "\r\n")
		c.printThresholds()
		switch {
		case line == "":
			fmt.Fprintf(c.out, "Analysis for depth %d\n", depth)
			c.layer(depth)
			depth++
		case line[0] == '/':
			fmt.Fprintf(c.out, "Analysis for node %s\n", line)
			c.subtree(line)
		default:
			n, err := strconv.ParseInt(line, 10, 32)
			switch {
			case err != nil:
				fmt.Fprintf(c.out, "Input %s is not valid. Depth must be in range [%d, %d]. Path must be an absolute path which starts with '/'.\n", line, 0, layers-1)
			case n < 0 || n >= int64(layers):
				fmt.Fprintf(c.out, "Depth must be in range [%d, %d]\n", 0, layers-1)
				continue
			default:
				depth = int(n)
				fmt.Fprintf(c.out, "Analysis for depth %d\n", depth)
				c.layer(depth)
			}
		}
		fmt.Fprintln(c.out)
	}
	return nil
}

func (c *comparer) subtree(path string) {
	left, right := c.left.byName[path], c.right.byName[path]
	if left == nil && right == nil {
		fmt.Fprintf(c.out, "Path %s is neither found in left tree nor right tree.\n", path)
		return
	}
	c.compare(left.below(), right.below())
}

func (n *profiled) below() []*profiled {
	if n == nil {
		return nil
	}
	return n.children
}

// compare compares nodes that are sorted by path.
func (c *comparer) compare(left, right []*profiled) {
	for len(left) > 0 || len(right) > 0 {
		order := 0
		switch {
		case len(left) == 0:
			order = 1
		case len(right) == 0:
			order = -1
		default:
			c.debugf("Comparing %s to %s\n", left[0].path, right[0].path)
			order = strings.Compare(left[0].path, right[0].path)
			c.debugf("%s\n", map[int]string{-1: "left is less", 0: "same", 1: "right is less"}[order])
		}
		switch order {
		case -1:
			c.only("left", left[0])
			left = left[1:]
		case 1:
			c.only("right", right[0])
			right = right[1:]
		default:
			c.both(left[0], right[0])
			left, right = left[1:], right[1:]
		}
	}
}

func (c *comparer) debugf(format string, args ...any) {
	if c.debug {
		fmt.Fprintf(c.out, format, args...)
	}
}

func (c *comparer) only(side string, n *profiled) {
	switch {
	case n.bytes > c.bytes || n.count > c.nodes:
		fmt.Fprintf(c.out, "Node %s found only in %s tree. Descendant size: %d. Descendant count: %d\n", n.path, side, n.bytes, n.count)
	case c.debug || c.interactive:
		fmt.Fprintf(c.out, "Filtered %s node %s of size %d\n", side, n.path, n.bytes)
	}
}

func (c *comparer) both(left, right *profiled) {
	bytes, nodes := right.bytes-left.bytes, right.count-left.count
	switch {
	case max(bytes, -bytes) > c.bytes || max(nodes, -nodes) > c.nodes:
		fmt.Fprintf(c.out, "Node %s found in both trees. Delta: %d bytes, %d descendants\n", left.path, bytes, nodes)
	case c.debug || c.interactive:
		fmt.Fprintf(c.out, "Filtered node %s of left size %d, right size %d\n", left.path, left.bytes, right.bytes)
	}
}
