package chaos

import (
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// numbered makes a sequential znode and records it; what is op.Do.
func (c *client) numbered(op Op, dir string) {
	op.Arg = c.value() + "-"
	r, path := c.Create(dir+"/"+op.Arg, "", wire.FlagSequential)
	if r.Code == wire.ErrNoNode { // the first one here
		c.Create(dir, "", 0)
		return
	}
	if r.Fate == Done {
		op.Number = number(path)
		c.saw(dir, r.Zxid)
	}
	c.end(op, r)
	c.sleep(time.Duration(c.random.IntN(80)) * time.Millisecond) // a large tree takes long to compare in the end
}

func (c *client) setStep() {
	key := c.key(2)
	dir := root + "/set/" + key
	if c.random.IntN(3) > 0 {
		c.numbered(c.op("set", key, "add"), dir)
		return
	}
	op := c.op("set", key, "read")
	fresh := c.fresh(dir)
	session := c.Name()
	r, names, stat := c.Children(dir)
	if r.Code == wire.ErrNoNode {
		c.missed(dir)
		return
	}
	if r.Fate != Done {
		return
	}
	c.saw(dir, stat.Pzxid)
	op.Number, op.Hash = int64(len(names)), hashNames(names)
	op.Fate, op.Return = Done, c.now()
	c.history.Add(op, false, fresh && session == c.Name())
}

func (c *client) putStep() {
	key := c.key(1)
	c.numbered(c.op("queue", key, "put"), root+"/queue/"+key)
}

// takeStep takes the first element of the queue, if somebody else is not faster.
func (c *client) takeStep() {
	key := c.key(1)
	dir := root + "/queue/" + key
	_, names, _ := c.Children(dir)
	if len(names) == 0 || !c.Open() {
		return
	}
	op := c.op("queue", key, "take")
	op.Value = slices.MinFunc(names, byNumber)
	r := c.Delete(dir + "/" + op.Value)
	c.end(op, r)
}

// byNumber orders the names of sequential znodes as they were made.
func byNumber(a, b string) int { return strings.Compare(a[len(a)-10:], b[len(b)-10:]) }

func splitPair(text string) [2]string {
	a, b, _ := strings.Cut(text, "|")
	return [2]string{a, b}
}
