package toolkit

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

const snapshotUsage = `USAGE: SnapshotFormatter [-d|-json|-test] snapshot_file
       -d dump the data for each znode
       -json dump znode info in json format
       -test say whether the file is whole, and exit with 1 if it is not
`

// snapshotToolkit is org.apache.zookeeper.server.SnapshotFormatter.
func snapshotToolkit(args []string, o IO) int {
	var withData, json, test bool
	for len(args) > 1 {
		switch args[0] {
		case "-d":
			withData = true
		case "-json":
			json = true
		case "-test":
			test = true
		default:
			fmt.Fprint(o.Err, snapshotUsage)
			return exitInvalid
		}
		args = args[1:]
	}
	if len(args) == 0 || slices.Contains([]string{"-d", "-json", "-test"}, args[0]) {
		fmt.Fprint(o.Err, snapshotUsage)
		return exitInvalid
	}
	name := args[0]
	if err := checkInput(name); err != nil {
		return o.end(err)
	}
	switch {
	case withData && json:
		return o.end(exitWith(exitInvalid, "Cannot specify both data dump (-d) and json mode (-json) in same call"))
	case test:
		return o.end(testSnapshot(name, o.Out))
	}
	t, err := o.readTree(name)
	if err != nil {
		return o.end(err)
	}
	out := bufio.NewWriter(o.Out)
	if json {
		j := jsonPrinter{t: t, out: out, inode: 1000}
		fmt.Fprintf(out, `[1,0,{"progname":"SnapshotFormatter.java","progver":"0.01","timestamp":%d}`, time.Now().UnixMilli())
		j.node(tree.RootPath)
		fmt.Fprint(out, "]")
	} else {
		printDetails(out, t, zxidOfName(name), withData)
	}
	return o.end(out.Flush())
}

// checkInput is org.apache.zookeeper.ZKUtil.validateFileInput.
func checkInput(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return exitWith(exitInvalid, "File '%s' does not exist.", absolute(name))
	case err != nil:
		return exitWith(exitInvalid, "%v", err)
	case info.IsDir():
		return exitWith(exitInvalid, "'%s' is a directory. it must be a file.", absolute(name))
	}
	file, err := os.Open(name)
	if err != nil {
		return exitWith(exitInvalid, "Read permission is denied on the file '%s'", absolute(name))
	}
	return file.Close()
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// zxidOfName is the zxid in the name of a snapshot, -1 if there is none.
func zxidOfName(name string) wire.Zxid {
	if zxid, _, ok := snap.ParseName(filepath.Base(name)); ok {
		return zxid
	}
	return -1
}

// readTree reads the nodes of a snapshot. What is wrong with checksums alone is only told.
func (o IO) readTree(name string) (*tree.Tree, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in, err := decompressed(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := snap.ReadNodes(in, max(zxidOfName(name), 0), tree.Options{ExtendedTypes: true})
	if t != nil && err != nil {
		fmt.Fprintf(o.Err, "%s: %v; shown all the same\n", name, err)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// decompressed finds out how a snapshot is compressed from how it begins: it may have been renamed.
func decompressed(file io.Reader) (io.Reader, error) {
	in := bufio.NewReader(file)
	head, err := in.Peek(2)
	switch {
	case err != nil:
		return nil, errors.New("the file is empty")
	case string(head) == "\x1f\x8b":
		return snap.Decompress(in, snap.Gzip), nil
	case head[0] == 0x82:
		return snap.Decompress(in, snap.Snappy), nil
	}
	return in, nil
}

// testSnapshot reads a snapshot as a server does when it starts.
func testSnapshot(name string, out io.Writer) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in, err := decompressed(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s, err := snap.ReadFile(in, max(zxidOfName(name), 0), tree.Options{ExtendedTypes: true})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(out, "%s: %d nodes, %d sessions, whole", name, s.Tree.NodeCount(), s.Tree.SessionCount())
	if s.Newest >= 0 {
		fmt.Fprintf(out, ", may show effects up to 0x%x", int64(s.Newest))
	}
	fmt.Fprintln(out)
	return nil
}

func printDetails(out io.Writer, t *tree.Tree, named wire.Zxid, withData bool) {
	fmt.Fprintf(out, "ZNode Details (count=%d):\n", t.NodeCount()+1) // Java counts the root twice, as "" and as "/"
	last := max(named, printNode(out, t, tree.RootPath, withData))
	fmt.Fprintln(out, "----")
	fmt.Fprintln(out, "Session Details (sid, timeout, ephemeralCount):")
	for _, s := range t.Sessions() {
		fmt.Fprintf(out, "%s, %d, %d\n", hex(int64(s.ID)), s.TimeoutMillis, len(t.Ephemerals(s.ID)))
	}
	fmt.Fprintf(out, "----\nLast zxid: 0x%x\n", uint64(last))
}

// hex is Java's format %#016x.
func hex(n int64) string { return fmt.Sprintf("0x%014x", uint64(n)) }

// printNode prints a node and those below, and returns the newest zxid of their stats.
func printNode(out io.Writer, t *tree.Tree, path string, withData bool) wire.Zxid {
	n, ok := t.Lookup(path)
	if !ok {
		return math.MinInt64
	}
	s := n.Persisted()
	fmt.Fprintf(out, "----\n%s\n  cZxid = %s\n  ctime = %s\n  mZxid = %s\n  mtime = %s\n  pZxid = %s\n", path,
		hex(int64(s.Czxid)), longDateTime(s.Ctime), hex(int64(s.Mzxid)), longDateTime(s.Mtime), hex(int64(s.Pzxid)))
	fmt.Fprintf(out, "  cversion = %d\n  dataVersion = %d\n  aclVersion = %d\n  ephemeralOwner = %s\n",
		s.Cversion, s.Version, s.Aversion, hex(s.EphemeralOwner))
	if withData {
		fmt.Fprintf(out, "  data = %s\n", base64.StdEncoding.EncodeToString(n.Data()))
	} else {
		fmt.Fprintf(out, "  dataLength = %d\n", len(n.Data()))
	}
	newest := max(s.Mzxid, s.Pzxid)
	for _, child := range children(n) {
		newest = max(newest, printNode(out, t, join(path, child), withData))
	}
	return newest
}

// children are the names of a node's children, sorted.
func children(n tree.Node) []string {
	var names []string
	n.EachChild(func(name string) { names = append(names, name) })
	slices.Sort(names)
	return names
}

func join(path, child string) string {
	if path == tree.RootPath {
		return path + child
	}
	return path + "/" + child
}

// jsonPrinter prints nodes in the format of ncdu.
type jsonPrinter struct {
	t     *tree.Tree
	out   io.Writer
	inode int
}

func (j *jsonPrinter) node(path string) {
	n, _ := j.t.Lookup(path)
	name := path
	if path != tree.RootPath {
		name = path[strings.LastIndexByte(path, '/')+1:]
	}
	j.inode++
	self := fmt.Sprintf(`{"name":"%s","asize":%d,"dsize":%[2]d,"dev":0,"ino":%d}`, jsonText(name), len(n.Data()), j.inode)
	names := children(n)
	if len(names) == 0 {
		fmt.Fprint(j.out, ",", self)
		return
	}
	fmt.Fprint(j.out, ",[", self)
	for _, child := range names {
		j.node(join(path, child))
	}
	fmt.Fprint(j.out, "]")
}

// jsonText escapes as com.fasterxml.jackson.core.io.JsonStringEncoder does.
func jsonText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ':
			b.WriteRune(r)
		case strings.ContainsRune("\b\t\n\f\r", r):
			b.WriteByte('\\')
			b.WriteByte("btn.fr"[r-'\b'])
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	return b.String()
}
