package chaos

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"sync"
)

// forever is a time after everything.
const forever = math.MaxInt64

// Op is one operation of a client. Times are nanoseconds since the run began. What the fields mean in each kind of history
// is written at its model.
type Op struct {
	Client  int
	Session string
	Kind    string // which model: register, multi, set, lock, queue
	Key     string
	Do      string
	Fate    Fate
	// What was asked.
	Arg     string
	Version [2]int32
	// What was told.
	Value  string
	Told   [2]int32
	Number int64
	Hash   uint64

	Call, Return int64
}

// History collects the operations of all clients.
type History struct {
	mu      sync.Mutex
	ops     []Op
	acks    []int64 // when writes were acknowledged
	counts  map[string]map[Fate]int
	broken  []string
	brokenN int
}

// NewHistory is an empty one.
func NewHistory() *History { return &History{counts: make(map[string]map[Fate]int)} }

// Add counts an operation, as a write or not, and keeps it for the checker if the caller says that it has a meaning there.
func (h *History) Add(op Op, write, keep bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := op.Kind + " " + op.Do
	if h.counts[name] == nil {
		h.counts[name] = make(map[Fate]int)
	}
	h.counts[name][op.Fate]++
	if write && op.Fate == Done {
		h.acks = append(h.acks, op.Return)
	}
	if !keep || op.Fate == Unsent {
		return
	}
	if op.Fate == Unknown {
		op.Return = forever
	}
	h.ops = append(h.ops, op)
}

// Acks is how many writes were acknowledged so far.
func (h *History) Acks() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acks)
}

// Spoil notes a broken promise that needs no further check.
func (h *History) Spoil(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.brokenN++
	if len(h.broken) < 20 {
		h.broken = append(h.broken, text)
	}
}

// Broken are the first promises found broken while the clients ran.
func (h *History) Broken() ([]string, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken, h.brokenN
}

// Save writes operations as lines of JSON.
func Save(path string, ops []Op) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	encoder := json.NewEncoder(w)
	for _, op := range ops {
		if err := encoder.Encode(op); err != nil {
			return err
		}
	}
	return w.Flush()
}
