package admin

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// runtimeCollector gives the figures that alarms made for a Java server ask for the names that they have there, as far as
// Go has such figures: the heap and its bound, threads, and collections of garbage.
type runtimeCollector struct {
	used, committed, maximum, threads, collections, info *prometheus.Desc
}

func newRuntimeCollector() *runtimeCollector {
	area := []string{"area"}
	return &runtimeCollector{
		used:        prometheus.NewDesc("jvm_memory_bytes_used", "Used bytes of memory: the heap, and what the runtime needs besides.", area, nil),
		committed:   prometheus.NewDesc("jvm_memory_bytes_committed", "Bytes of memory taken from the operating system.", area, nil),
		maximum:     prometheus.NewDesc("jvm_memory_bytes_max", "Bound of the memory: GOMEMLIMIT, or the memory of the machine.", area, nil),
		threads:     prometheus.NewDesc("jvm_threads_current", "Threads of the process.", nil, nil),
		collections: prometheus.NewDesc("jvm_gc_collection_seconds", "Time for which collections of garbage stopped the process.", []string{"gc"}, nil),
		info:        prometheus.NewDesc("jvm_info", "What the server runs on: no JVM.", []string{"version", "vendor", "runtime"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (c *runtimeCollector) Describe(into chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.used, c.committed, c.maximum, c.threads, c.collections, c.info} {
		into <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *runtimeCollector) Collect(into chan<- prometheus.Metric) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) float64 { return float64(samples[i].Value.Uint64()) }
	heap := value(0) + value(1) + value(2)
	total := value(3) - value(4)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.used, value(0), "heap")
	gauge(c.used, total-heap, "nonheap")
	gauge(c.committed, heap, "heap")
	gauge(c.committed, total-heap, "nonheap")
	gauge(c.maximum, float64(memoryLimitBytes()), "heap")
	gauge(c.threads, float64(threads()))
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	into <- prometheus.MustNewConstSummary(c.collections, uint64(gc.NumGC), gc.PauseTotal.Seconds(), nil, "Go")
	gauge(c.info, 1, runtime.Version(), "", "Go")
}
