package metrics

import "sync/atomic"

// Counter counts events or adds up amounts. Its zero value is 0. It is safe for concurrent use.
type Counter struct{ total, base atomic.Int64 }

// Add adds n, which is not negative.
func (c *Counter) Add(n int64) { c.total.Add(n) }

// Total is what was added since the start.
func (c *Counter) Total() int64 { return c.total.Load() }

// Value is what was added since the start or the last Reset.
func (c *Counter) Value() int64 { return c.total.Load() - c.base.Load() }

// Reset lets Value begin anew.
func (c *Counter) Reset() { c.base.Store(c.total.Load()) }
