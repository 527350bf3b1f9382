package throttle

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// admitted counts how many of n sessions at the same moment are let in.
func admitted(c *Connections, k Kind, n int, now time.Duration) int {
	in := 0
	for range n {
		if c.Admit(k, now) {
			in++
		}
	}
	return in
}

func TestNoLimit(t *testing.T) {
	c := New(Default, testRand(), 0)
	if n := admitted(c, Global, 1000, 0); n != 1000 {
		t.Errorf("%d of 1000 are admitted", n)
	}
}

func TestBucket(t *testing.T) {
	cfg := Default
	cfg.Tokens, cfg.FillTime, cfg.FillCount = 5, 10*ms, 2
	c := New(cfg, testRand(), 0)
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{0, 5}, {10 * ms, 0}, {11 * ms, 2}, {20 * ms, 0}, {31 * ms, 4}, {time.Second, 5}, {1000 * time.Hour, 5}, {1 << 62, 5}} {
		if n := admitted(c, Renew, 20, step.at); n != step.want {
			t.Errorf("at %v %d are admitted, want %d", step.at, n, step.want)
		}
	}
	if c.Deficit() != 5 {
		t.Errorf("%d tokens are gone", c.Deficit())
	}
}

func TestWeights(t *testing.T) {
	cfg := Default
	cfg.Tokens, cfg.Weighted = 10, true
	for k, want := range map[Kind]int{Global: 10, Local: 30, Renew: 15} {
		if n := admitted(New(cfg, testRand(), 0), k, 100, 0); n != want {
			t.Errorf("of kind %d %d are admitted, want %d", k, n, want)
		}
	}
	cfg.LocalWeight = 6 // the others cost no less
	for k, want := range map[Kind]int{Global: 10, Local: 10, Renew: 10} {
		if n := admitted(New(cfg, testRand(), 0), k, 100, 0); n != want {
			t.Errorf("of kind %d %d are admitted, want %d", k, n, want)
		}
	}
}

// An empty bucket makes refusals likelier, step by step, and one that fills again takes that back.
func TestBlue(t *testing.T) {
	cfg := Default
	cfg.Tokens, cfg.FillTime, cfg.FreezeTime, cfg.DropIncrease, cfg.DropDecrease, cfg.DecreaseRatio = 100, time.Hour, 10*ms, 0.25, 0.5, 0.5
	c := New(cfg, testRand(), 0)
	if n := admitted(c, Global, 200, 0); n != 100 {
		t.Fatalf("%d are admitted", n)
	}
	now := time.Duration(0)
	for _, want := range []float64{0.25, 0.5, 0.75, 1, 1} {
		now += 11 * ms
		c.Admit(Global, now)
		c.Admit(Global, now) // the probability is frozen
		if c.DropChance() != want {
			t.Fatalf("the probability of a refusal is %v, want %v", c.DropChance(), want)
		}
	}
	now += 200 * time.Hour // which fills the bucket, so that only the coin refuses
	if n := admitted(c, Global, 100, now); c.DropChance() != 0.5 || n < 30 || n > 70 {
		t.Errorf("%d of 100 are admitted with a probability of %v", n, 1-c.DropChance())
	}
	for _, want := range []float64{0, 0} {
		now += 200 * time.Hour
		c.Admit(Global, now)
		if c.DropChance() != want {
			t.Errorf("the probability of a refusal is %v, want %v", c.DropChance(), want)
		}
	}
	if n := admitted(c, Global, 10, now); n != 10 {
		t.Errorf("%d of 10 are admitted from a full bucket", n)
	}
}
