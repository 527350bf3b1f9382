package admin

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/metrics"
)

// value is a monitored value: an int64, a float64 or a string.
type value struct {
	key   string
	value any
}

// monitored are all values that mntr and the command monitor show, in order: what the server is, then gauges and metrics
// as Apache ZooKeeper's DefaultMetricsProvider shows them, or nothing of these with the NullMetricsProvider.
func monitored(src Source) []value {
	all := states(src)
	if src.Config().Metrics.None {
		return all
	}
	for _, g := range gauges(src) {
		name := g.name
		if g.key != "" {
			name = g.key + "_" + name
		}
		if g.fraction {
			all = append(all, value{name, g.value})
		} else {
			all = append(all, value{name, int64(g.value)})
		}
	}
	for _, m := range src.Metrics().All() {
		switch {
		case m.Counter != nil:
			all = append(all, value{m.Name, m.Counter.Value()})
		case m.Summary != nil:
			all = appendSummary(all, m.Name, m.Summary, m.Advanced)
		case m.CounterSet != nil:
			for _, key := range m.CounterSet.Keys() {
				all = append(all, value{key + "_" + m.Name, m.CounterSet.Of(key).Value()})
			}
		case m.SummarySet != nil:
			for _, key := range m.SummarySet.Keys() {
				all = appendSummary(all, key+"_"+m.Name, m.SummarySet.Of(key), m.Advanced)
			}
		}
	}
	return all
}

func appendSummary(all []value, name string, s *metrics.Summary, advanced bool) []value {
	f := s.Figures()
	all = append(all, value{"avg_" + name, f.Average}, value{"min_" + name, f.Min}, value{"max_" + name, f.Max},
		value{"cnt_" + name, f.Count}, value{"sum_" + name, f.Sum})
	if !advanced {
		return all
	}
	for i, q := range s.Quantiles(0.5, 0.95, 0.99, 0.999) {
		// A quantile comes from a bucket, whose middle may lie beyond the values seen.
		q = min(max(math.Round(q), float64(f.Min)), float64(f.Max))
		all = append(all, value{[]string{"p50_", "p95_", "p99_", "p999_"}[i] + name, int64(q)})
	}
	return all
}

// states tell what the server is (dumpMonitorValues of each kind of ZooKeeperServer).
func states(src Source) []value {
	status := src.Status()
	all := []value{{"version", versionLine(src)}, {"server_state", status.Mode()}}
	if !src.Config().Distributed {
		return all
	}
	all = append(all, value{"peer_state", peerState(status)})
	if master, ok := observerMaster(status); ok {
		all = append(all, value{"observer_master_id", master})
	}
	return all
}

// mntr shows all values, one on each line.
func mntr(src Source) string {
	var b strings.Builder
	for _, v := range monitored(src) {
		b.WriteString("zk_" + v.key + "\t")
		switch x := v.value.(type) {
		case int64:
			b.WriteString(strconv.FormatInt(x, 10))
		case float64:
			b.WriteString(javaDouble(x))
		case string:
			b.WriteString(x)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// avgMillis is the mean in milliseconds, with four decimals as in AvgMinMaxCounter; 0 of nothing.
func avgMillis(s Summary) float64 {
	if s.Count == 0 {
		return 0
	}
	return math.Round(float64(s.Total)/float64(s.Count)/float64(time.Millisecond)*1e4) / 1e4
}

// javaDouble is a number as Double.toString of Java writes it.
func javaDouble(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 0):
		return strings.Replace(strconv.FormatFloat(x, 'g', -1, 64), "Inf", "Infinity", 1)
	case x == 0 || math.Abs(x) >= 1e-3 && math.Abs(x) < 1e7:
		return withPoint(strconv.FormatFloat(x, 'f', -1, 64))
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', -1, 64), "e")
	n, _ := strconv.Atoi(exponent) // FormatFloat's own
	return withPoint(mantissa) + "E" + strconv.Itoa(n)
}

func withPoint(s string) string {
	if !strings.Contains(s, ".") {
		return s + ".0"
	}
	return s
}
