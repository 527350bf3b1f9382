package zkcli

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/wire"
)

// maxTTL is what fits beside the server id in an ephemeral owner, in ms.
const maxTTL = 1<<40 - 1

func create(s *shell, a arguments) error {
	e, sequential, container, hasTTL := a.has("e"), a.has("s"), a.has("c"), a.has("t")
	if container && (e || sequential) {
		return failure("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	}
	ttl := int64(0)
	if hasTTL {
		var err error
		if ttl, err = parseInt(a.values["t"], 10, 64); err != nil {
			return failure("-t argument must be a long value")
		}
	}
	flags := int32(wire.FlagPersistent)
	switch {
	case hasTTL && e:
		return failure("TTLs cannot be used with Ephemeral znodes")
	case hasTTL && container:
		return failure("TTLs cannot be used with Container znodes")
	case hasTTL && (ttl <= 0 || ttl > maxTTL):
		return failure(fmt.Sprintf("ttl must be positive and cannot be larger than: %d", int64(maxTTL)))
	case hasTTL && sequential:
		flags = wire.FlagPersistentSequentialTTL
	case hasTTL:
		flags = wire.FlagPersistentTTL
	case container:
		flags = wire.FlagContainer
	case e && sequential:
		flags = wire.FlagEphemeralSequential
	case e:
		flags = wire.FlagEphemeral
	case sequential:
		flags = wire.FlagSequential
	}
	var data []byte
	if len(a.words) > 2 {
		data = []byte(a.words[2])
	}
	acl := wire.OpenACL()
	if len(a.words) > 3 {
		acl = s.parseACL(a.words[3])
	}
	created, err := s.session.Create(background, a.words[1], data, acl, flags, time.Duration(ttl)*time.Millisecond)
	switch client.Code(err) {
	case wire.ErrOK:
		fmt.Fprintf(s.err, "Created %s\n", created)
	case wire.ErrEphemeralOnLocalSession:
		fmt.Fprintln(s.err, "Unable to create ephemeral node on a local session")
	case wire.ErrInvalidACL:
		fmt.Fprintln(s.err, err)
	}
	return err
}

func remove(s *shell, a arguments) error {
	if len(a.words) > 2 {
		fmt.Fprintln(s.err, "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.")
	}
	v, err := a.version()
	if err != nil {
		return err
	}
	return s.session.Delete(background, a.words[1], v)
}

// version is the option -v, -1 without it.
func (a arguments) version() (int32, error) {
	if !a.has("v") {
		return -1, nil
	}
	return parseInt32(a.values["v"])
}

// removeAll deletes a znode and all below it, leaves first, some of them at a time.
func removeAll(s *shell, a arguments) error {
	batch := int32(1000)
	if a.has("b") {
		var err error
		if batch, err = parseInt32(a.values["b"]); err != nil {
			return failure("-b argument must be an int value")
		}
	}
	tree := []string{a.words[1]}
	for i := 0; i < len(tree); i++ {
		children, _, err := s.session.Children(background, tree[i], false)
		if err != nil {
			return err
		}
		for _, child := range children {
			tree = append(tree, below(tree[i], child))
		}
	}
	slices.Reverse(tree)
	if batch <= 0 {
		batch = int32(len(tree)) // all together
	}
	for some := range slices.Chunk(tree, int(batch)) {
		if s.session.DeleteTogether(background, some) != nil {
			fmt.Fprintln(s.err, "Failed to delete some node(s) in the subtree!")
			break
		}
	}
	return nil
}

func below(path, child string) string {
	if path == "/" {
		return "/" + child
	}
	return path + "/" + child
}

func set(s *shell, a arguments) error {
	data := []byte(a.words[2])
	if a.has("b") {
		var err error
		if data, err = base64.StdEncoding.DecodeString(a.words[2]); err != nil {
			return fatal("Illegal base64 data")
		}
	}
	v, err := a.version()
	if err != nil {
		return err
	}
	stat, err := s.session.Set(background, a.words[1], data, v)
	if err == nil && a.has("s") {
		s.printStat(stat)
	}
	return err
}

func get(s *shell, a arguments) error {
	a, err := s.deprecated(a, "get path [watch]", "get [-s] [-w] path")
	if err != nil {
		return err
	}
	data, stat, err := s.session.Get(background, a.words[1], a.has("w"))
	if err != nil {
		return err
	}
	s.printData(data, a)
	if a.has("s") {
		s.printStat(stat)
	}
	return nil
}

// deprecated accepts the form of a command in which a further word asks for a watch: the second word becomes -w, as in
// zkCli.sh, even where it is not that further word.
func (s *shell) deprecated(a arguments, old, current string) (arguments, error) {
	if len(a.words) <= 2 {
		return a, nil
	}
	fmt.Fprintf(s.err, "'%s' has been deprecated. Please use '%s' instead.\n", old, current)
	raw := slices.Clone(a.raw)
	raw[2] = "-w"
	a, err := commands()[raw[0]].flags.parse(raw)
	if err == nil && len(a.words) < 2 {
		err = fatal("Index 1 out of bounds for length 1")
	}
	return a, err
}

func list(s *shell, a arguments) error {
	if a.has("?") {
		fmt.Fprint(s.out, "usage: ls [options] path\n -?   help\n -R   recurse\n -s   stat\n -w   watch\n")
	}
	a, err := s.deprecated(a, "ls path [watch]", "ls [-w] path")
	if err != nil {
		return err
	}
	if len(a.words) < 2 {
		return failure("ls " + commands()["ls"].usage)
	}
	path := a.words[1]
	if a.has("R") {
		return s.visit(path, a.has("w"), func(path string) error {
			fmt.Fprintln(s.out, path)
			return nil
		})
	}
	children, stat, err := s.session.Children(background, path, a.has("w"))
	if err != nil {
		return err
	}
	slices.Sort(children)
	fmt.Fprintf(s.out, "[%s]\n", strings.Join(children, ", "))
	if a.has("s") {
		s.printStat(stat)
	}
	return nil
}

// visit calls f for a znode and all below it: the children of each sorted, one after the other, before theirs. Znodes that
// vanish on the way are left out.
func (s *shell) visit(path string, watch bool, f func(path string) error) error {
	if _, _, err := s.session.Get(background, path, watch); err != nil {
		return err
	}
	if err := f(path); err != nil {
		return err
	}
	return s.visitBelow(path, watch, f)
}

func (s *shell) visitBelow(path string, watch bool, f func(path string) error) error {
	children, _, err := s.session.Children(background, path, watch)
	if client.Code(err) == wire.ErrNoNode {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(children)
	for _, child := range children {
		if err := f(below(path, child)); err != nil {
			return err
		}
	}
	for _, child := range children {
		if err := s.visitBelow(below(path, child), watch, f); err != nil {
			return err
		}
	}
	return nil
}

func stat(s *shell, a arguments) error {
	a, err := s.deprecated(a, "stat path [watch]", "stat [-w] path")
	if err != nil {
		return err
	}
	stat, err := s.session.Exists(background, a.words[1], a.has("w"))
	if err != nil {
		return err
	}
	if stat == nil {
		return &client.Error{Code: wire.ErrNoNode, Path: a.words[1]}
	}
	s.printStat(*stat)
	return nil
}

func countAll(s *shell, a arguments) error {
	n, err := s.session.CountAll(background, a.words[1])
	if err == nil {
		fmt.Fprintln(s.out, n)
	}
	return err
}

func ephemerals(s *shell, a arguments) error {
	prefix := "/"
	if len(a.words) > 1 {
		prefix = a.words[1]
	}
	paths, err := s.session.Ephemerals(background, prefix)
	if err == nil {
		fmt.Fprintf(s.out, "[%s]\n", strings.Join(paths, ", "))
	}
	return err
}
