package admin

import (
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zkctl/zkctl/server/metrics"
)

// MetricsHandler serves gauges and metrics on /metrics for Prometheus, as Apache ZooKeeper's PrometheusMetricsProvider
// does, with those of the process and of Go unless exportJvmInfo is false.
func MetricsHandler(src Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{src})
	if src.Config().Metrics.ExportJVMInfo {
		registry.MustRegister(
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
			newRuntimeCollector(),
		)
	}
	mux := http.NewServeMux()
	page := metricsPage(registry)
	mux.Handle("GET /metrics", page)
	mux.Handle("POST /metrics", page)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ZooKeeper server "+versionLine(src)+"\nMetrics for Prometheus are at /metrics\n")
	})
	return mux
}

// collector hands everything on at the moment at which it is asked for.
type collector struct{ src Source }

// Describe names nothing, because the gauges depend on the role.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// keyLabel is the label of the members of a set.
var keyLabel = []string{"key"}

// Collect is part of prometheus.Collector.
func (c collector) Collect(into chan<- prometheus.Metric) {
	for _, g := range gauges(c.src) {
		if g.key == "" {
			into <- prometheus.MustNewConstMetric(prometheus.NewDesc(g.name, g.help, nil, nil), prometheus.GaugeValue, g.value)
			continue
		}
		desc := prometheus.NewDesc(g.name, g.help, keyLabel, nil)
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, g.value, label(g.key))
	}
	for _, m := range c.src.Metrics().All() {
		switch {
		case m.Counter != nil:
			into <- constCounter(prometheus.NewDesc(m.Name, m.Help, nil, nil), m.Counter)
		case m.Summary != nil:
			into <- constSummary(prometheus.NewDesc(m.Name, m.Help, nil, nil), m.Summary, m.Advanced)
		case m.CounterSet != nil:
			desc := prometheus.NewDesc(m.Name, m.Help, keyLabel, nil)
			for _, key := range m.CounterSet.Keys() {
				into <- constCounter(desc, m.CounterSet.Of(key), label(key))
			}
		case m.SummarySet != nil:
			desc := prometheus.NewDesc(m.Name, m.Help, keyLabel, nil)
			for _, key := range m.SummarySet.Keys() {
				into <- constSummary(desc, m.SummarySet.Of(key), m.Advanced, label(key))
			}
		}
	}
}

func constCounter(desc *prometheus.Desc, c *metrics.Counter, key ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(c.Total()), key...)
}

func constSummary(desc *prometheus.Desc, s *metrics.Summary, advanced bool, key ...string) prometheus.Metric {
	shares := []float64{0.5}
	if advanced {
		shares = []float64{0.5, 0.9, 0.99}
	}
	quantiles := make(map[float64]float64, len(shares))
	for i, v := range s.Recent(shares...) {
		quantiles[shares[i]] = v
	}
	count, sum := s.Total()
	return prometheus.MustNewConstSummary(desc, count, sum, quantiles, key...)
}

// label is a key as a label, which has to be UTF-8.
func label(key string) string { return strings.ToValidUTF8(key, "\uFFFD") }
