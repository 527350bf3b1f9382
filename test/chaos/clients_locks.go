package chaos

import (
	"time"

	"github.com/zkctl/zkctl/wire"
)

// lockStep takes a lock, uses it for a while, and gives it back. Now and then the session ends instead, cleanly or not.
func (c *client) lockStep() {
	key := c.key(2)
	path := root + "/lock/" + key
	session := c.Name()
	c.OnEnd = func(name string, alive, gone int64) { // also of sessions that only tried
		c.history.Add(Op{Client: c.number, Session: name, Kind: "lock", Key: key, Do: "end", Fate: Done, Call: alive, Return: gone}, false, true)
	}
	op := c.op("lock", key, "acquire")
	r, _ := c.Create(path, session, wire.FlagEphemeral)
	c.end(op, r)
	switch r.Fate {
	case Unknown:
		c.Close() // whatever it holds
		return
	case Refused, Unsent:
		c.sleep(30 * time.Millisecond)
		return
	}
	for range c.random.IntN(4) {
		c.sleep(time.Duration(c.random.IntN(40)) * time.Millisecond)
		if !c.Open() || c.Name() != session {
			if c.Name() == session {
				c.Close()
			}
			return
		}
		op := c.op("lock", key, "confirm")
		r, _ := c.Set(path, session, -1)
		c.end(op, r)
		if r.Fate != Done {
			c.Close()
			return
		}
	}
	switch n := c.random.IntN(30); {
	case n == 0:
		c.Close()
		return
	case n == 1: // die: the lock is free when the session expires
		c.hangUp()
		c.ended(forever)
		return
	}
	if !c.Open() || c.Name() != session {
		return
	}
	op = c.op("lock", key, "release")
	r = c.Delete(path)
	c.end(op, r)
	if r.Fate != Done {
		c.Close()
	}
}
