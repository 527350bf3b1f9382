package sim

import (
	"math/rand/v2"
	"time"
)

// source draws at random.
type source struct{ *rand.Rand }

// between draws a duration.
func (r source) between(low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}

// chance draws a decision that is yes with this probability.
func (r source) chance(p float64) bool { return r.Float64() < p }

// sides puts each of n on one of two sides.
func (r source) sides(n int) []bool {
	side := make([]bool, n)
	for i := range side {
		side[i] = r.IntN(2) == 0
	}
	return side
}
