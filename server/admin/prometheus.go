package admin

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the figures on /metrics for Prometheus, with those of the process and of Go.
func Handler(src Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{src},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ZooKeeper server "+versionLine(src)+"\nMetrics for Prometheus are at /metrics\n")
	})
	return mux
}

// collector hands the figures on at the moment at which they are asked for.
type collector struct{ src Source }

// Describe names nothing, because the figures depend on the role.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect is part of prometheus.Collector.
func (c collector) Collect(into chan<- prometheus.Metric) {
	for _, f := range figures(c.src) {
		desc := prometheus.NewDesc(f.name, f.help, nil, nil)
		switch f.kind {
		case counter:
			into <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, f.value)
		case times:
			into <- prometheus.MustNewConstSummary(desc, uint64(f.summary.Count), f.summary.Total.Seconds()*1e3, nil)
		default:
			into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, f.value)
		}
	}
}
