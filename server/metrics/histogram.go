package metrics

import (
	"math/bits"
	"sync/atomic"
)

// A histogram counts values in buckets whose width grows with the value: values below 16 have one each, and every power
// of two above is cut into 16. So a quantile is wrong by a thirty-second of itself at most.
const (
	groupBuckets = 16
	groups       = 40 // the last one is for everything from 2^43 on
)

type histogram [groups]atomic.Pointer[group]

// group holds neighbouring buckets. Most histograms need few groups.
type group [groupBuckets]atomic.Int64

// bucket is the place of a value, which is not negative.
func bucket(v int64) (g, i int) {
	if v < groupBuckets {
		return 0, int(v)
	}
	shift := bits.Len64(uint64(v)) - 5
	if shift > groups-2 {
		return groups - 1, groupBuckets - 1
	}
	return shift + 1, int(v>>shift) - groupBuckets
}

// middle is the value for all of a bucket.
func middle(g, i int) float64 {
	if g == 0 {
		return float64(i)
	}
	width := int64(1) << (g - 1)
	return float64(int64(i+groupBuckets)*width) + float64(width-1)/2
}

func (h *histogram) add(v, n int64) {
	g, i := bucket(v)
	p := h[g].Load()
	if p == nil {
		h[g].CompareAndSwap(nil, new(group))
		p = h[g].Load()
	}
	p[i].Add(n)
}

// counts are the buckets of a histogram at one moment; nil for none.
type counts [groups]*[groupBuckets]int64

func (h *histogram) counts() *counts {
	var c counts
	for g := range h {
		if p := h[g].Load(); p != nil {
			c[g] = new([groupBuckets]int64)
			for i := range p {
				c[g][i] = p[i].Load()
			}
		}
	}
	return &c
}

// since takes away what an earlier moment had.
func (c *counts) since(earlier *counts) *counts {
	if earlier == nil {
		return c
	}
	for g, group := range earlier {
		if group == nil {
			continue
		}
		for i, n := range group {
			c[g][i] -= n
		}
	}
	return c
}

// total is the number of values.
func (c *counts) total() int64 {
	total := int64(0)
	for _, group := range c {
		if group != nil {
			for _, n := range group {
				total += n
			}
		}
	}
	return total
}

// quantile is the value below which a share of q of the values lies; ok is false if there are none.
func (c *counts) quantile(q float64) (v float64, ok bool) {
	total := c.total()
	if total == 0 {
		return 0, false
	}
	rank := max(int64(q*float64(total)+0.5), 1)
	for g, group := range c {
		if group == nil {
			continue
		}
		for i, n := range group {
			if rank -= n; rank <= 0 {
				return middle(g, i), true
			}
		}
	}
	return 0, false
}
