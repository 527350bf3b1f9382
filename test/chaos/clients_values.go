package chaos

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

func (c *client) registerStep() {
	key := c.key(3)
	path := root + "/register/" + key
	switch c.random.IntN(5) {
	case 0, 1:
		op := c.op("register", key, "write")
		op.Arg = c.value()
		c.write(op, path, -1)
	case 2, 3:
		c.read(key, path)
	case 4: // not fresh, so it says nothing of linearizability, but much of the session's order
		c.stale(path)
	}
}

// readerStep reads what others write, with so much patience that it stays with a leader that sleeps until it is deposed.
func (c *client) readerStep() {
	c.patience = 3 * sessionTimeout
	key := c.key(3)
	path := root + "/register/" + key
	if !c.syncs {
		c.stale(path)
		return
	}
	op := c.op("register", key, "read")
	if c.Sync(path).Fate == Done && c.Name() == op.Session {
		c.get(op, path)
	}
}

// stale reads without a sync.
func (c *client) stale(path string) {
	op := c.op("register", path, "stale read")
	r, _, stat := c.Get(path)
	c.look(path, r, stat)
	op.Fate, op.Return = r.Fate, c.now()
	if op.Fate == Refused {
		op.Fate = Done // it was answered
	}
	c.history.Add(op, false, false)
}

// look checks the order of a read.
func (c *client) look(path string, r Reply, stat wire.Stat) {
	switch {
	case r.Fate == Done:
		c.saw(path, stat.Mzxid)
	case r.Code == wire.ErrNoNode:
		c.missed(path)
	}
}

// write sets the data, and creates the znode if there is none yet.
func (c *client) write(op Op, path string, version int32) {
	op.Version[0] = version
	r, stat := c.Set(path, op.Arg, version)
	op.Told[0] = stat.Version
	c.end(op, r)
	if r.Fate == Done {
		c.saw(path, stat.Mzxid)
	}
	if r.Code == wire.ErrNoNode {
		c.missed(path)
		create := c.op(op.Kind, op.Key, "create")
		create.Arg = op.Arg
		r, _ := c.Create(path, op.Arg, 0)
		c.end(create, r)
	}
}

// read reads freshly, and returns the version, -1 if there is nothing to know.
func (c *client) read(key, path string) int32 {
	op := c.op("register", key, "read")
	if !c.fresh(path) {
		return -1
	}
	op.Session = c.Name()
	return c.get(op, path)
}

// get ends a read, which is fresh unless another session has taken the place of that in op.
func (c *client) get(op Op, path string) int32 {
	r, value, stat := c.Get(path)
	if c.Name() != op.Session {
		return -1
	}
	c.look(path, r, stat)
	op.Value, op.Told[0], op.Fate, op.Return = value, stat.Version, r.Fate, c.now()
	if r.Code == wire.ErrNoNode {
		op.Fate = Done
	}
	c.history.Add(op, false, op.Fate == Done)
	return stat.Version
}

func (c *client) casStep() {
	key := c.key(2)
	path := root + "/register/" + key
	version := int32(0)
	if c.random.IntN(2) == 0 {
		version = c.read(key, path)
	} else if r, _, stat := c.Get(path); r.Fate == Done { // an older version will do: then it is refused
		c.look(path, r, stat)
		version = stat.Version
	}
	if version < 0 || !c.Open() {
		return
	}
	op := c.op("register", key, "cas")
	op.Arg = c.value()
	c.write(op, path, version)
}

func (c *client) multiStep() {
	key := c.key(2)
	paths := [2]string{root + "/multi/" + key + "-a", root + "/multi/" + key + "-b"}
	op := c.op("multi", key, "read")
	fresh := c.random.IntN(2) == 0 && c.fresh(paths[0])
	session := c.Name()
	r, results := c.multi(wire.OpMultiRead, part{wire.OpGetData, wire.ReadRequest{Path: paths[0]}.Append(nil)},
		part{wire.OpGetData, wire.ReadRequest{Path: paths[1]}.Append(nil)})
	if r.Fate != Done || len(results) != 2 {
		return
	}
	for i, one := range results {
		if one.code == wire.ErrOK {
			c.saw(paths[i], one.stat.Mzxid)
		} else {
			c.missed(paths[i])
		}
	}
	a, b := results[0], results[1]
	op.Value, op.Told = a.data+"|"+b.data, [2]int32{a.stat.Version, b.stat.Version}
	op.Fate, op.Return = Done, c.now()
	if a.code != b.code || a.stat.Mzxid != b.stat.Mzxid {
		c.history.Spoil(fmt.Sprintf("multi %s: half of a multi was seen: %+v %+v", key, a, b))
	}
	c.history.Add(op, false, fresh && session == c.Name())
	if !c.Open() {
		return
	}
	if a.code == wire.ErrNoNode {
		op = c.op("multi", key, "create")
		op.Arg = c.value() + "|" + c.value()
	} else {
		op = c.op("multi", key, "move")
		op.Arg, op.Version = c.value()+"|"+c.value(), [2]int32{a.stat.Version, b.stat.Version}
	}
	r, results = c.multi(wire.OpMulti, multiParts(op, paths)...)
	for i, one := range results {
		if r.Fate == Done && op.Do == "move" {
			op.Told[i] = one.stat.Version
			c.saw(paths[i], one.stat.Mzxid)
		}
	}
	c.end(op, r)
}

func multiParts(op Op, paths [2]string) (parts []part) {
	values := splitPair(op.Arg)
	for i, path := range paths {
		if op.Do == "create" {
			q := wire.CreateRequest{Path: path, Data: []byte(values[i]), ACL: wire.OpenACL()}
			parts = append(parts, part{wire.OpCreate, q.Append(nil)})
		} else {
			q := wire.SetDataRequest{Path: path, Data: []byte(values[i]), Version: op.Version[i]}
			parts = append(parts, part{wire.OpSetData, q.Append(nil)})
		}
	}
	return parts
}
