package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// command is one word of the shell. run gets the words after it.
type command struct {
	usage string
	run   func(s *shell, set *flag.FlagSet, words []string) error
}

// errUsage makes execute print the usage of the command.
var errUsage = errors.New("usage")

// complaint is an error whose text is that of zkCli.sh, capitals and all.
type complaint string

func (c complaint) Error() string { return string(c) }

// commands by name. A function, because the history commands refer to it again.
func commands() map[string]command {
	return map[string]command{
		"create":               {"[-s] [-e] [-c] [-t ttl] path [data] [acl]", create},
		"delete":               {"[-v version] path", remove},
		"deleteall":            {"path", removeAll},
		"set":                  {"path data [-s] [-v version] [-b]", set},
		"get":                  {"[-s] [-w] [-b] path", get},
		"ls":                   {"[-s] [-w] [-R] path", list},
		"stat":                 {"[-w] path", stat},
		"getAcl":               {"[-s] path", getACL},
		"setAcl":               {"[-s] [-v version] path acl", setACL},
		"sync":                 {"path", sync},
		"addauth":              {"scheme [auth]", addAuth},
		"getAllChildrenNumber": {"path", countAll},
		"config":               {"", config},
		"close":                {"", func(s *shell, _ *flag.FlagSet, _ []string) error { s.close(); return nil }},
		"connect":              {"[host:port]", connect},
		"history":              {"", history},
		"redo":                 {"n", redo},
		"printwatches":         {"[on|off]", printWatches},
		"quit":                 {"", func(s *shell, _ *flag.FlagSet, _ []string) error { s.ended = true; return nil }},
		"exit":                 {"", func(s *shell, _ *flag.FlagSet, _ []string) error { s.ended = true; return nil }},
		"version": {"", func(s *shell, _ *flag.FlagSet, _ []string) error {
			fmt.Fprintf(s.out, "ZooKeeper CLI version: %s\n", version)
			return nil
		}},
	}
}

// offline commands need no session.
var offline = []string{"close", "connect", "history", "redo", "printwatches", "quit", "exit", "version"}

// execute runs one command and returns its exit code: 0, 1 for a failure, 127 for an unknown one.
func (s *shell) execute(words []string) int {
	all := commands()
	c, ok := all[words[0]]
	if !ok {
		fmt.Fprintln(s.err, "ZooKeeper -server host:port cmd args")
		for _, name := range sorted(all) {
			fmt.Fprintf(s.err, "\t%s %s\n", name, all[name].usage)
		}
		if words[0] != "help" {
			fmt.Fprintf(s.err, "Command not found: Command not found %s\n", words[0])
		}
		return 127
	}
	if s.conn == nil && !slices.Contains(offline, words[0]) {
		fmt.Fprintln(s.err, "Not connected")
		return 1
	}
	err := c.run(s, flag.NewFlagSet(words[0], flag.ContinueOnError), words[1:])
	if err == nil {
		return 0
	}
	if errors.Is(err, errUsage) {
		fmt.Fprintf(s.err, "%s %s\n", words[0], c.usage)
		return 1
	}
	node := ""
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "/") {
			node = w
			break
		}
	}
	fmt.Fprintln(s.err, message(err, node))
	return 1
}

// message is what zkCli.sh prints for an error.
func message(err error, node string) string {
	for is, text := range map[error]string{
		zk.ErrNoNode: "Node does not exist: ", zk.ErrNodeExists: "Node already exists: ", zk.ErrNotEmpty: "Node not empty: ",
		zk.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: ", zk.ErrInvalidACL: "Acl is not valid : ",
		zk.ErrNoAuth: "Insufficient permission : ", zk.ErrBadArguments: "Arguments are not valid : ",
		zk.ErrBadVersion: "version No is not valid : ",
	} {
		if errors.Is(err, is) {
			return text + node
		}
	}
	if err.Error() == "unknown error: -6" { // the library has no name for this one
		return "KeeperErrorCode = Unimplemented for " + node
	}
	return err.Error()
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// paths parses flags and demands between least and most other words, the first of which is a path.
func (s *shell) paths(set *flag.FlagSet, words []string, least, most int) ([]string, error) {
	rest, err := flags(set, words)
	if err != nil || len(rest) < least || len(rest) > most {
		return nil, errUsage
	}
	if !strings.HasPrefix(rest[0], "/") {
		return nil, complaint("Path must start with / character")
	}
	if rest[0] != "/" && strings.HasSuffix(rest[0], "/") {
		return nil, complaint("Path must not end with / character")
	}
	return rest, nil
}

// full puts the chroot in front of a path.
func (s *shell) full(p string) string {
	if s.chroot != "" && p == "/" {
		return s.chroot
	}
	return s.chroot + p
}

func create(s *shell, set *flag.FlagSet, words []string) error {
	sequential, ephemeral := set.Bool("s", false, ""), set.Bool("e", false, "")
	container, ttl := set.Bool("c", false, ""), set.Int64("t", 0, "")
	rest, err := s.paths(set, words, 1, 3)
	if err != nil {
		return err
	}
	if *container && (*sequential || *ephemeral || *ttl > 0) || *ephemeral && *ttl > 0 {
		return errors.New("-c cannot be combined with -s, -e or -t, nor -e with -t")
	}
	var data []byte
	if len(rest) > 1 {
		data = []byte(rest[1])
	}
	acl := zk.WorldACL(zk.PermAll)
	if len(rest) > 2 {
		if acl, err = parseACL(rest[2]); err != nil {
			return err
		}
	}
	var created string
	switch {
	case *container:
		created, err = s.conn.CreateContainer(s.full(rest[0]), data, zk.FlagContainer, acl)
	case *ttl > 0:
		flag := int32(zk.FlagTTL)
		if *sequential {
			flag = zk.FlagPersistentSequentialWithTTL
		}
		created, err = s.conn.CreateTTL(s.full(rest[0]), data, flag, acl, time.Duration(*ttl)*time.Millisecond)
	default:
		flag := int32(0)
		if *sequential {
			flag |= zk.FlagSequence
		}
		if *ephemeral {
			flag |= zk.FlagEphemeral
		}
		created, err = s.conn.Create(s.full(rest[0]), data, flag, acl)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "Created %s\n", strings.TrimPrefix(created, s.chroot))
	return nil
}

func remove(s *shell, set *flag.FlagSet, words []string) error {
	v := set.Int("v", -1, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	return s.conn.Delete(s.full(rest[0]), int32(*v))
}

func removeAll(s *shell, set *flag.FlagSet, words []string) error {
	set.Int("b", 1000, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	var nodes []string
	if err := s.walk(s.full(rest[0]), func(p string) { nodes = append(nodes, p) }); err != nil {
		return err
	}
	slices.Reverse(nodes)
	for _, p := range nodes {
		if err := s.conn.Delete(p, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

// walk calls f for a node and all below it, parents before children, siblings sorted.
func (s *shell) walk(p string, f func(string)) error {
	children, _, err := s.conn.Children(p)
	if err != nil {
		return err
	}
	f(p)
	slices.Sort(children)
	for _, c := range children {
		if err := s.walk(path.Join(p, c), f); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

func set(s *shell, set *flag.FlagSet, words []string) error {
	show, v, encoded := set.Bool("s", false, ""), set.Int("v", -1, ""), set.Bool("b", false, "")
	rest, err := s.paths(set, words, 2, 2)
	if err != nil {
		return err
	}
	data := []byte(rest[1])
	if *encoded {
		if data, err = base64.StdEncoding.DecodeString(rest[1]); err != nil {
			return fmt.Errorf("data is not base64: %w", err)
		}
	}
	st, err := s.conn.Set(s.full(rest[0]), data, int32(*v))
	if err == nil && *show {
		printStat(s.out, st)
	}
	return err
}

func get(s *shell, set *flag.FlagSet, words []string) error {
	show, watch, encoded := set.Bool("s", false, ""), set.Bool("w", false, ""), set.Bool("b", false, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	var data []byte
	var st *zk.Stat
	if *watch {
		var events <-chan zk.Event
		if data, st, events, err = s.conn.GetW(s.full(rest[0])); err == nil {
			s.watch(events)
		}
	} else {
		data, st, err = s.conn.Get(s.full(rest[0]))
	}
	if err != nil {
		return err
	}
	switch {
	case data == nil:
		fmt.Fprintln(s.out, "null")
	case *encoded:
		fmt.Fprintln(s.out, base64.StdEncoding.EncodeToString(data))
	default:
		fmt.Fprintf(s.out, "%s\n", data)
	}
	if *show {
		printStat(s.out, st)
	}
	return nil
}

func list(s *shell, set *flag.FlagSet, words []string) error {
	show, watch, recursive := set.Bool("s", false, ""), set.Bool("w", false, ""), set.Bool("R", false, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	if *recursive {
		return s.walk(s.full(rest[0]), func(p string) { fmt.Fprintln(s.out, path.Clean("/"+strings.TrimPrefix(p, s.chroot))) })
	}
	var children []string
	var st *zk.Stat
	if *watch {
		var events <-chan zk.Event
		if children, st, events, err = s.conn.ChildrenW(s.full(rest[0])); err == nil {
			s.watch(events)
		}
	} else {
		children, st, err = s.conn.Children(s.full(rest[0]))
	}
	if err != nil {
		return err
	}
	slices.Sort(children)
	fmt.Fprintf(s.out, "[%s]\n", strings.Join(children, ", "))
	if *show {
		printStat(s.out, st)
	}
	return nil
}

func stat(s *shell, set *flag.FlagSet, words []string) error {
	watch := set.Bool("w", false, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	var exists bool
	var st *zk.Stat
	if *watch {
		var events <-chan zk.Event
		if exists, st, events, err = s.conn.ExistsW(s.full(rest[0])); err == nil {
			s.watch(events)
		}
	} else {
		exists, st, err = s.conn.Exists(s.full(rest[0]))
	}
	if err != nil {
		return err
	}
	if !exists {
		return zk.ErrNoNode
	}
	printStat(s.out, st)
	return nil
}

// watch prints the event of a watch when it comes.
func (s *shell) watch(events <-chan zk.Event) {
	go func() {
		if e, ok := <-events; ok && s.printWatches.Load() && e.Type != zk.EventNotWatching {
			kind := strings.TrimPrefix(e.Type.String(), "Event")
			fmt.Fprintf(s.out, "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:%s path:%s\n", kind, strings.TrimPrefix(e.Path, s.chroot))
		}
	}()
}

func printStat(w io.Writer, st *zk.Stat) {
	stamp := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	fmt.Fprintf(w, "cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\n", st.Czxid, stamp(st.Ctime), st.Mzxid,
		stamp(st.Mtime), st.Pzxid)
	fmt.Fprintf(w, "cversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		st.Cversion, st.Version, st.Aversion, uint64(st.EphemeralOwner), st.DataLength, st.NumChildren)
}

// permissions in the order in which they are printed.
var permissions = []struct {
	letter byte
	bit    int32
}{{'c', zk.PermCreate}, {'d', zk.PermDelete}, {'r', zk.PermRead}, {'w', zk.PermWrite}, {'a', zk.PermAdmin}}

// parseACL reads scheme:id:perms, several joined by commas. An id may contain colons, as digests do.
func parseACL(text string) ([]zk.ACL, error) {
	var acl []zk.ACL
	for _, entry := range strings.Split(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first < 0 || first == last {
			return nil, fmt.Errorf("%s does not have the form scheme:id:perm", entry)
		}
		a := zk.ACL{Scheme: entry[:first], ID: entry[first+1 : last]}
		for i := last + 1; i < len(entry); i++ {
			bit := int32(0)
			for _, p := range permissions {
				if p.letter == entry[i] {
					bit = p.bit
				}
			}
			if bit == 0 {
				return nil, complaint(fmt.Sprintf("Unknown perm type: %c", entry[i]))
			}
			a.Perms |= bit
		}
		acl = append(acl, a)
	}
	return acl, nil
}

func getACL(s *shell, set *flag.FlagSet, words []string) error {
	show := set.Bool("s", false, "")
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	acl, st, err := s.conn.GetACL(s.full(rest[0]))
	if err != nil {
		return err
	}
	for _, a := range acl {
		letters := ""
		for _, p := range permissions {
			if a.Perms&p.bit != 0 {
				letters += string(p.letter)
			}
		}
		fmt.Fprintf(s.out, "'%s,'%s\n: %s\n", a.Scheme, a.ID, letters)
	}
	if *show {
		printStat(s.out, st)
	}
	return nil
}

func setACL(s *shell, set *flag.FlagSet, words []string) error {
	show, v := set.Bool("s", false, ""), set.Int("v", -1, "")
	rest, err := s.paths(set, words, 2, 2)
	if err != nil {
		return err
	}
	acl, err := parseACL(rest[1])
	if err != nil {
		return err
	}
	st, err := s.conn.SetACL(s.full(rest[0]), acl, int32(*v))
	if err == nil && *show {
		printStat(s.out, st)
	}
	return err
}

func sync(s *shell, set *flag.FlagSet, words []string) error {
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	if _, err := s.conn.Sync(s.full(rest[0])); err != nil {
		return complaint(fmt.Sprintf("Sync has failed. %v", err))
	}
	fmt.Fprintln(s.out, "Sync is OK")
	return nil
}

func addAuth(s *shell, _ *flag.FlagSet, words []string) error {
	if len(words) < 1 || len(words) > 2 {
		return errUsage
	}
	return s.conn.AddAuth(words[0], []byte(strings.Join(words[1:], "")))
}

func countAll(s *shell, set *flag.FlagSet, words []string) error {
	rest, err := s.paths(set, words, 1, 1)
	if err != nil {
		return err
	}
	n := -1
	if err := s.walk(s.full(rest[0]), func(string) { n++ }); err != nil {
		return err
	}
	fmt.Fprintln(s.out, n)
	return nil
}

func config(s *shell, _ *flag.FlagSet, _ []string) error {
	data, _, err := s.conn.Get("/zookeeper/config")
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s\n", data)
	return nil
}

func connect(s *shell, _ *flag.FlagSet, words []string) error {
	if len(words) > 0 {
		s.server = words[0]
	}
	if err := s.connect(); err != nil {
		return err
	}
	return s.waitConnected()
}

func history(s *shell, _ *flag.FlagSet, _ []string) error {
	for i := max(0, len(s.history)-11); i < len(s.history); i++ {
		fmt.Fprintf(s.out, "%d - %s\n", i, s.history[i])
	}
	return nil
}

func redo(s *shell, _ *flag.FlagSet, words []string) error {
	if len(words) != 1 {
		return errUsage
	}
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 0 || n >= len(s.history) {
		return complaint("Command index out of range")
	}
	again := split(s.history[n])
	if again[0] == "redo" {
		return complaint("No redoing redos")
	}
	s.history[len(s.history)-1] = s.history[n]
	if s.execute(again) != 0 {
		return errors.New("the repeated command failed")
	}
	return nil
}

func printWatches(s *shell, _ *flag.FlagSet, words []string) error {
	if len(words) > 0 {
		s.printWatches.Store(words[0] == "on")
		return nil
	}
	fmt.Fprintf(s.out, "printwatches is %s\n", map[bool]string{true: "on", false: "off"}[s.printWatches.Load()])
	return nil
}
