package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	last := -1
	for v := int64(0); v < 1<<20; v++ {
		g, i := bucket(v)
		n := g*groupBuckets + i
		if n != last && n != last+1 {
			t.Fatalf("%d is in bucket %d, %d before it in %d", v, n, v-1, last)
		}
		last = n
		if m := middle(g, i); math.Abs(m-float64(v)) > float64(v)/32 {
			t.Fatalf("%d is shown as %v", v, m)
		}
	}
	for _, v := range []int64{1<<43 - 1, 1 << 43, 1 << 50, math.MaxInt64} {
		if g, i := bucket(v); g >= groups || i >= groupBuckets {
			t.Errorf("%d is in bucket %d of group %d", v, i, g)
		}
	}
}

// TestQuantilesAgainstSorting compares with the sorted list of all values.
func TestQuantilesAgainstSorting(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s Summary
		all := make([]int64, 1+rng.IntN(2000))
		for i := range all {
			all[i] = int64(math.Exp(rng.Float64() * 20))
			s.Add(all[i])
		}
		slices.Sort(all)
		shares := []float64{0, 0.5, 0.9, 0.99, 0.999, 1}
		for i, got := range s.Quantiles(shares...) {
			rank := max(int(shares[i]*float64(len(all))+0.5), 1)
			if want := float64(all[rank-1]); math.Abs(got-want) > want/32 {
				t.Errorf("seed %d: quantile %v is %v, want about %v", seed, shares[i], got, want)
			}
		}
		f := s.Figures()
		if f.Min != all[0] || f.Max != all[len(all)-1] || f.Count != int64(len(all)) {
			t.Errorf("seed %d: %+v, want %d to %d, %d", seed, f, all[0], all[len(all)-1], len(all))
		}
	}
}

func TestSummary(t *testing.T) {
	m := New()
	s := &m.FsyncTime
	if got := s.Figures(); got != (Figures{}) {
		t.Errorf("nothing yet: %+v", got)
	}
	if got := s.Recent(0.5); !math.IsNaN(got[0]) {
		t.Errorf("the median of nothing is %v", got)
	}
	if got := s.Quantiles(0.5); got[0] != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	s.Took(0)
	s.Took(1500 * time.Microsecond)
	s.TookTimes(4*time.Millisecond, 2)
	s.Took(-time.Second)
	if got, want := s.Figures(), (Figures{Average: 2.375, Min: 0, Max: 4, Count: 4, Sum: 9}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if count, sum := s.Total(); count != 4 || sum != 9.5 {
		t.Errorf("total %d, %v", count, sum)
	}
	m.Reset()
	if got := s.Figures(); got != (Figures{}) {
		t.Errorf("after the reset: %+v", got)
	}
	s.Took(3 * time.Millisecond)
	if got := s.Figures(); got.Min != 3 || got.Max != 3 || got.Count != 1 || math.Round(s.Quantiles(0.5)[0]) != 3 {
		t.Errorf("after the reset: %+v, median %v", got, s.Quantiles(0.5))
	}
	if count, _ := s.Total(); count != 5 {
		t.Errorf("the reset took from the total: %d", count)
	}
	m.FollowerSyncTime.Took(3 * time.Millisecond)
	if got := m.FollowerSyncTime.Figures().Min; got != 3 {
		t.Errorf("the least of one value is %d", got)
	}
}

// What is older than the window does not show.
func TestRecent(t *testing.T) {
	var s Summary
	s.Add(1000)
	for range windowParts {
		if got := s.Recent(0.5)[0]; math.Abs(got-1000) > 32 {
			t.Fatalf("the value has gone too early: %v", got)
		}
		s.Rotate()
	}
	if got := s.Recent(0.5)[0]; !math.IsNaN(got) {
		t.Errorf("the old value shows: %v", got)
	}
	s.Add(7)
	if got := s.Recent(0.5)[0]; got != 7 {
		t.Errorf("the new value is shown as %v", got)
	}
}

func TestSets(t *testing.T) {
	m := New()
	m.AckLatency.Summary("2").Took(5 * time.Millisecond)
	m.ReadPerNamespace.Add("app", 100)
	m.ReadPerNamespace.Add("app", 50)
	m.QuotaExceededErrorPerNamespace.Add("app", 1)
	if got := m.AckLatency.Of("2").Figures().Max; got != 5 {
		t.Errorf("5 ms are %d", got)
	}
	if got := m.ReadPerNamespace.Of("app").Figures(); got.Sum != 150 || got.Count != 2 {
		t.Errorf("reads: %+v", got)
	}
	m.Reset()
	if m.ReadPerNamespace.Of("app").Figures().Count != 0 || m.QuotaExceededErrorPerNamespace.Of("app").Value() != 0 {
		t.Error("sets are not reset")
	}
	for i := range maxKeys + 10 {
		m.WritePerNamespace.Add(strconv.Itoa(i), 1)
		m.WritePerNamespace.Add("0", 1)
	}
	if n := len(m.WritePerNamespace.Keys()); n != maxKeys {
		t.Errorf("%d keys are kept", n)
	}
	if got := m.WritePerNamespace.Of("0").Figures().Count; got != maxKeys+11 {
		t.Errorf("an old key counts %d", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	m := New()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for v := range int64(1000) {
				m.ReadPerNamespace.Add(strconv.Itoa(i%3), v)
				m.UpdateLatency.Add(v)
				if v%100 == 0 {
					m.Rotate()
					m.UpdateLatency.Quantiles(0.5)
				}
			}
		})
	}
	group.Wait()
	if f := m.UpdateLatency.Figures(); f.Count != 8000 || f.Min != 0 || f.Max != 0 { // microseconds
		t.Errorf("got %+v", f)
	}
	count := uint64(0)
	for _, key := range m.ReadPerNamespace.Keys() {
		n, _ := m.ReadPerNamespace.Of(key).Total()
		count += n
	}
	if count != 8000 {
		t.Errorf("%d reads", count)
	}
}

func TestAll(t *testing.T) {
	names := make(map[string]bool)
	for _, d := range New().All() {
		if names[d.Name] || d.Name != strings.ToLower(d.Name) || d.Help == "" {
			t.Errorf("%+v", d)
		}
		names[d.Name] = true
		if d.Summary != nil && strings.HasSuffix(d.Name, "_ms") && !d.Summary.IsTime() {
			t.Errorf("%s is no time", d.Name)
		}
	}
	if len(names) < 120 {
		t.Errorf("only %d", len(names))
	}
}

func BenchmarkSummary(b *testing.B) {
	m := New()
	b.RunParallel(func(pb *testing.PB) {
		for v := int64(0); pb.Next(); v++ {
			m.UpdateLatency.Add(v & 0xfff)
		}
	})
}
