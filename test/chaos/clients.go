package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// root is where everything lies.
const root = "/chaos"

// keyLife is how long a znode, set, lock or queue is worked on, before another takes its place. An unknown operation stays
// concurrent with all that follow, which makes long histories dear to check; a new key starts with a clean one.
const keyLife = 10 * time.Second

// Clients are the sessions that work.
type Clients struct {
	history *History
	servers []string
	began   time.Time
	// syncs tells that a sync makes the read after it fresh. Apache ZooKeeper's leader answers syncs without asking a quorum,
	// so behind one that was deposed and does not know, it does not.
	syncs   bool
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup
	moves   int
	movesMu sync.Mutex
}

// client is one of them.
type client struct {
	*Clients
	*Session
	number int
	random *rand.Rand
	kind   string // begins the names of its keys
	serial int
}

// lives are the kinds of clients and how many there are of each.
var lives = []struct {
	kind  string
	count int
	step  func(*client)
}{
	{"register", 4, (*client).registerStep},
	{"reader", 3, (*client).readerStep},
	{"cas", 3, (*client).casStep},
	{"multi", 3, (*client).multiStep},
	{"set", 3, (*client).setStep},
	{"lock", 4, (*client).lockStep},
	{"queue", 2, (*client).putStep},
	{"queue", 2, (*client).takeStep},
}

// StartClients begins. The tree must be empty.
func StartClients(history *History, servers []string, syncs bool) (*Clients, error) {
	c := &Clients{history: history, servers: servers, began: time.Now(), syncs: syncs}
	c.ctx, c.stop = context.WithCancel(context.Background())
	setup := newSession(servers, 0, c.now, history.Spoil)
	for _, dir := range []string{"", "/register", "/multi", "/set", "/lock", "/queue", "/own"} {
		if r, _ := setup.Create(root+dir, "", 0); r.Fate != Done {
			return nil, fmt.Errorf("create %s: %v, error %d", root+dir, r.Fate, r.Code)
		}
	}
	number := 0
	for _, life := range lives {
		for range life.count {
			cl := &client{Clients: c, number: number, kind: life.kind, random: rand.New(rand.NewPCG(uint64(number), 1)),
				Session: newSession(servers, number, c.now, history.Spoil)}
			cl.order.lax = !syncs
			number++
			c.running.Go(func() { cl.live(life.step) })
		}
	}
	setup.Close()
	return c, nil
}

// Stop ends all sessions when each request has its outcome.
func (c *Clients) Stop() {
	c.stop()
	c.running.Wait()
}

func (c *Clients) now() int64 { return int64(time.Since(c.began)) }

func (c *client) live(step func(*client)) {
	c.order.seen = 0
	for c.ctx.Err() == nil {
		if c.Open() {
			step(c)
			if c.random.IntN(100) == 0 {
				c.hangUp() // and go on at another server, which may be behind
			}
			c.sleep(time.Duration(5+c.random.IntN(20)) * time.Millisecond)
		} else {
			c.sleep(100 * time.Millisecond)
		}
	}
	c.Close()
	c.movesMu.Lock()
	c.Clients.moves += c.Moves
	c.movesMu.Unlock()
}

func (c *client) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.ctx.Done():
	}
}

// key is one of n that are in use now.
func (c *client) key(n int) string {
	return fmt.Sprintf("%s%d-%d", c.kind[:1], c.now()/int64(keyLife), c.random.IntN(n))
}

// value is one that nobody else writes.
func (c *client) value() string {
	c.serial++
	return fmt.Sprintf("c%d-%d", c.number, c.serial)
}

func (c *client) op(kind, key, do string) Op {
	return Op{Client: c.number, Session: c.Name(), Kind: kind, Key: key, Do: do, Call: c.now()}
}

// end records a write's outcome.
func (c *client) end(op Op, r Reply) {
	op.Fate, op.Return = r.Fate, c.now()
	c.history.Add(op, true, true)
}

// fresh makes the next read of this session as new as its beginning. Half of the time that is a sync, otherwise a write.
func (c *client) fresh(path string) bool {
	if c.syncs && c.random.IntN(2) == 0 {
		return c.Sync(path).Fate == Done
	}
	own := fmt.Sprintf("%s/own/%d", root, c.number)
	op := c.op("own", own, "write")
	r, _ := c.Set(own, "", -1)
	if r.Code == wire.ErrNoNode {
		r, _ = c.Create(own, "", 0)
	}
	op.Fate, op.Return = r.Fate, c.now()
	c.history.Add(op, true, false)
	return r.Fate == Done
}

// saw checks the order in which the session sees a znode.
func (c *client) saw(path string, zxid wire.Zxid) {
	if problem := c.order.node(path, zxid); problem != "" {
		c.history.Spoil(fmt.Sprintf("session %s of client %d: %s", c.Name(), c.number, problem))
	}
}

func (c *client) missed(path string) {
	if problem := c.order.missing(path); problem != "" {
		c.history.Spoil(fmt.Sprintf("session %s of client %d: %s", c.Name(), c.number, problem))
	}
}
