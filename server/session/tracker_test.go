package session

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

const tick = 2 * time.Second

func TestExpiryIsRoundedUpToTheNextTick(t *testing.T) {
	for _, c := range []struct{ touched, timeout, alive, over time.Duration }{
		{0, 4 * time.Second, 6*time.Second - 1, 6 * time.Second},
		{1, 4 * time.Second, 6*time.Second - 1, 6 * time.Second},
		{2*time.Second - 1, 4 * time.Second, 6*time.Second - 1, 6 * time.Second},
		{2 * time.Second, 4 * time.Second, 8*time.Second - 1, 8 * time.Second},
		{-time.Second, 4 * time.Second, 4*time.Second - 1, 4 * time.Second},
	} {
		tr := NewTracker(tick)
		tr.Add(1, c.timeout, c.touched)
		if got := tr.Expire(c.alive, 0); got != nil {
			t.Errorf("touched at %v for %v: expired already at %v", c.touched, c.timeout, c.alive)
		}
		if got := tr.Expire(c.over, 0); !slices.Equal(got, []wire.SessionID{1}) {
			t.Errorf("touched at %v for %v: at %v expired %v", c.touched, c.timeout, c.over, got)
		}
		if got := tr.Expire(c.over+time.Hour, 0); got != nil {
			t.Errorf("expired twice: %v", got)
		}
	}
}

// TestExpireInPieces: with a limit the same sessions expire, the one that is touched meanwhile does not.
func TestExpireInPieces(t *testing.T) {
	tr := NewTracker(tick)
	const sessions = 25
	for id := range wire.SessionID(sessions) {
		tr.Add(id, time.Duration(id%3)*tick, 0)
	}
	const over = 10 * tick
	var expired []wire.SessionID
	for _, want := range []int{10, 10, 4, 0} {
		got := tr.Expire(over, 10)
		if len(got) != want || !slices.IsSorted(got) {
			t.Errorf("expired: %v, want %d", got, want)
		}
		if expired = append(expired, got...); want == 4 {
			break
		}
		if len(expired) == 10 && !tr.Touch(2+21, over) { // one of the last bucket
			t.Error("a session that waits for its end is not alive")
		}
	}
	if got := tr.Expire(over, 10); got != nil {
		t.Errorf("expired twice: %v", got)
	}
	slices.Sort(expired)
	if unique := slices.Compact(expired); len(unique) != sessions-1 || slices.Contains(unique, 23) {
		t.Errorf("expired: %v", unique)
	}
	if got := tr.Expire(over+10*tick, 10); !slices.Equal(got, []wire.SessionID{23}) {
		t.Errorf("later expired: %v", got)
	}
}

func TestOwner(t *testing.T) {
	tr := NewTracker(tick)
	tr.Add(1, time.Minute, 0)
	steps := []struct {
		do   func()
		from Owner
		want wire.ErrCode
	}{
		{func() {}, 7, wire.ErrOK},
		{func() {}, 7, wire.ErrOK},
		{func() {}, 8, wire.ErrSessionMoved},
		{func() { tr.SetOwner(1, 8) }, 8, wire.ErrOK},
		{func() {}, 7, wire.ErrSessionMoved},
		{func() { tr.SetClosing(1) }, 8, wire.ErrSessionExpired},
		{func() { tr.Remove(1) }, 8, wire.ErrSessionExpired},
	}
	for i, s := range steps {
		s.do()
		if got := tr.Check(1, s.from); got != s.want {
			t.Errorf("step %d: request by way of %d is %v, want %v", i, s.from, got, s.want)
		}
	}
	if tr.Touch(1, 0) || tr.Renew(1, 0, 0) || tr.SetOwner(1, 1) || tr.Alive(1) {
		t.Error("a session that was removed is alive")
	}
}

// TestTrackerAgainstNaiveTwin compares with a table of expiry times that is searched as a whole.
func TestTrackerAgainstNaiveTwin(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		type twin struct {
			timeout time.Duration
			expires time.Duration
			closing bool
		}
		naive := map[wire.SessionID]*twin{}
		tr := NewTracker(tick)
		now := time.Duration(0)
		round := func(timeout time.Duration) time.Duration { return ((now+timeout)/tick + 1) * tick }
		for step := range 400 {
			id := wire.SessionID(rng.IntN(20))
			n := naive[id]
			alive := n != nil && !n.closing
			timeout := time.Duration(rng.IntN(20000)) * time.Millisecond
			switch rng.IntN(6) {
			case 0:
				tr.Add(id, timeout, now)
				if n == nil {
					naive[id] = &twin{timeout: timeout, expires: round(timeout)}
				} else if alive {
					n.timeout, n.expires = timeout, round(timeout)
				}
			case 1:
				if got := tr.Touch(id, now); got != alive {
					t.Fatalf("seed %d step %d: touch of %v says %v", seed, step, id, got)
				}
				if alive {
					n.expires = round(n.timeout)
				}
			case 2:
				if got := tr.Renew(id, timeout, now); got != alive {
					t.Fatalf("seed %d step %d: renewal of %v says %v", seed, step, id, got)
				}
				if alive {
					n.timeout, n.expires = timeout, round(timeout)
				}
			case 3:
				if rng.IntN(8) == 0 {
					tr.Remove(id)
					delete(naive, id)
				}
			default:
				now += time.Duration(rng.IntN(3000)) * time.Millisecond
				var want []wire.SessionID
				for id, n := range naive {
					if !n.closing && n.expires <= now {
						want, n.closing = append(want, id), true
					}
				}
				slices.Sort(want)
				if got := tr.Expire(now, 0); !slices.Equal(got, want) {
					t.Fatalf("seed %d step %d: at %v expired %v, want %v", seed, step, now, got, want)
				}
			}
		}
	}
}

func TestIDs(t *testing.T) {
	ids := NewIDs(3, 0x1a202ce84eb)
	for i, want := range []wire.SessionID{0x3a202ce84eb0000 &^ (0xf << 52), 0} {
		got := ids.Next()
		if i == 0 {
			if byte(uint64(got)>>56) != 3 || uint16(got) != 0 || uint64(got)>>16&0xffffffffff != 0xa202ce84eb {
				t.Errorf("first id %#x (%#x)", uint64(got), uint64(want))
			}
			continue
		}
		if uint16(got) != 1 {
			t.Errorf("second id %#x", uint64(got))
		}
	}
	container := NewIDs(0x80, 0)
	if got := uint64(container.Next()); got != 0x8000000000000001 {
		t.Errorf("the owner of containers became a session id: %#x", got)
	}
	zero := NewIDs(0, 0)
	if got := zero.Next(); got != 1 {
		t.Errorf("first id is %v", got)
	}
}

func TestPassword(t *testing.T) {
	for id, want := range map[uint64]string{
		0x1:                "054cc74a37327db215e702e20c73f005",
		0x100000000000000:  "f22acd4a97e69d6d20a49bb638eadb38",
		0x10000abcdef0000:  "6392a56db477dd0a797bc8b31d917902",
		0xff00000000000001: "054cc74a37327db215e702e20c73f005",
		0x100001865180000:  "5a5d8365dfcc5a26c8604ed0c02d555a",
	} {
		password := Password(wire.SessionID(id))
		if got := hex.EncodeToString(password[:]); got != want {
			t.Errorf("password of %#x is %s, want %s", id, got, want)
		}
	}
}
