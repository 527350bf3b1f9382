package metrics

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// windowParts are the moments that a summary remembers for its quantiles of late. With a Rotate every WindowStep these
// cover the last 8 to 10 minutes, as with Apache ZooKeeper's exporter.
const windowParts = 5

// WindowStep is the time between two calls of Rotate.
const WindowStep = 2 * time.Minute

// Summary is how large something was each time. Its zero value has seen nothing. It is safe for concurrent use, and a
// value costs two atomic additions. What is a time is kept in microseconds and shown in milliseconds.
type Summary struct {
	values   histogram
	sum      Counter
	min, max atomic.Int64 // since Reset; min is one more than the value, so that 0 is none

	mu     sync.Mutex // guards what follows
	base   *counts    // at the last Reset; nil for the start
	window [windowParts]*counts
	time   bool
}

// Add notes a value; a negative one, such as a time between two clocks that do not agree, is left out.
func (s *Summary) Add(v int64) { s.AddTimes(v, 1) }

// AddTimes notes the same value n times.
func (s *Summary) AddTimes(v, n int64) {
	if v < 0 || n <= 0 {
		return
	}
	s.values.add(v, n)
	s.sum.Add(v * n)
	s.extremes(v)
}

// AddAll notes values, of which none is negative. It costs less than noting one after the other.
func (s *Summary) AddAll(values []int32) {
	if len(values) == 0 {
		return
	}
	sum, n := int64(0), int64(0)
	for i, v := range values {
		sum += int64(v)
		if n++; i == len(values)-1 || values[i+1] != v {
			s.values.add(int64(v), n)
			n = 0
		}
	}
	s.sum.Add(sum)
	s.extremes(int64(slices.Min(values)))
	s.extremes(int64(slices.Max(values)))
}

// Took notes a time.
func (s *Summary) Took(d time.Duration) { s.AddTimes(d.Microseconds(), 1) }

// TookTimes notes the same time n times.
func (s *Summary) TookTimes(d time.Duration, n int64) { s.AddTimes(d.Microseconds(), n) }

func (s *Summary) extremes(v int64) {
	for {
		old := s.max.Load()
		if v <= old || s.max.CompareAndSwap(old, v) {
			break
		}
	}
	for {
		old := s.min.Load()
		if old != 0 && v+1 >= old || s.min.CompareAndSwap(old, v+1) {
			break
		}
	}
}

// IsTime tells that values are shown in milliseconds.
func (s *Summary) IsTime() bool { return s.time }

// scale is what a value has to be divided by to be shown.
func (s *Summary) scale() float64 {
	if s.time {
		return 1000
	}
	return 1
}

// Figures are those of a summary since the start or the last Reset, as Apache ZooKeeper's DefaultMetricsProvider shows
// them: whole numbers, but for the average. Times are in milliseconds.
type Figures struct {
	Average              float64 // rounded to four decimals
	Min, Max, Count, Sum int64
}

// Figures returns those since the start or the last Reset.
func (s *Summary) Figures() Figures {
	scale := s.scale()
	f := Figures{Count: s.values.counts().since(s.atReset()).total()}
	sum := float64(s.sum.Value()) / scale
	f.Sum = int64(sum)
	f.Max = int64(float64(s.max.Load()) / scale)
	if m := s.min.Load(); m > 0 {
		f.Min = int64(float64(m-1) / scale)
	}
	if f.Count > 0 {
		f.Average = math.Round(sum/float64(f.Count)*1e4) / 1e4
	}
	return f
}

// Quantiles returns the values below which the given shares of the values since the start or the last Reset lie, 0 for
// none.
func (s *Summary) Quantiles(shares ...float64) []float64 {
	return s.quantiles(s.atReset(), 0, shares)
}

func (s *Summary) atReset() *counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// Recent is the same of the last minutes, NaN for none; see Rotate.
func (s *Summary) Recent(shares ...float64) []float64 {
	s.mu.Lock()
	oldest := s.window[windowParts-1]
	s.mu.Unlock()
	return s.quantiles(oldest, math.NaN(), shares)
}

func (s *Summary) quantiles(since *counts, none float64, shares []float64) []float64 {
	now := s.values.counts().since(since)
	values := make([]float64, len(shares))
	for i, share := range shares {
		v, ok := now.quantile(share)
		if values[i] = v / s.scale(); !ok {
			values[i] = none
		}
	}
	return values
}

// Total is the number of all values since the start and their sum, times in milliseconds.
func (s *Summary) Total() (count uint64, sum float64) {
	return uint64(s.values.counts().total()), float64(s.sum.Total()) / s.scale()
}

// Rotate moves the window of Recent on. It is called every WindowStep.
func (s *Summary) Rotate() {
	now := s.values.counts()
	s.mu.Lock()
	defer s.mu.Unlock()
	copy(s.window[1:], s.window[:])
	s.window[0] = now
}

// Reset lets Figures and Quantiles begin anew.
func (s *Summary) Reset() {
	now := s.values.counts()
	s.mu.Lock()
	s.base = now
	s.mu.Unlock()
	s.sum.Reset()
	s.max.Store(0)
	s.min.Store(0)
}
