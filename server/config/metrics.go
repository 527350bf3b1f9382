package config

import (
	"net"
	"strconv"
)

// Metrics is how what a server measures is shown.
type Metrics struct {
	// Address is host:port of the Prometheus endpoint, "" for none.
	Address string
	// ExportJVMInfo adds the figures of the process to it.
	ExportJVMInfo bool
	// None keeps gauges and metrics out of mntr, too (NullMetricsProvider).
	None bool

	prometheus bool
	host       string
	port       int
}

const (
	prometheusProvider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
	defaultProvider    = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"
	nullProvider       = "org.apache.zookeeper.metrics.impl.NullMetricsProvider"
)

func defaultMetrics() Metrics { return Metrics{host: "0.0.0.0", port: 7000, ExportJVMInfo: true} }

var metricsKeys = []key{
	{"metricsProvider.className", func(c *Config, value string) (string, string) {
		switch value {
		case prometheusProvider, defaultProvider, nullProvider:
		default:
			return "unknown metrics provider", "give " + prometheusProvider + " or remove the key"
		}
		c.Metrics.prometheus, c.Metrics.None = value == prometheusProvider, value == nullProvider
		return "", ""
	}},
	{"metricsProvider.httpHost", text(func(c *Config) *string { return &c.Metrics.host })},
	{"metricsProvider.httpPort", port(func(c *Config) *int { return &c.Metrics.port })},
	{"metricsProvider.httpsPort", refused("TLS for metrics is not supported by this server", "give metricsProvider.httpPort instead")},
	{"metricsProvider.exportJvmInfo", strictBool(func(c *Config) *bool { return &c.Metrics.ExportJVMInfo })},
	{"leader.ackLoggingFrequency", number(0, "a number of txns, or 0 for none", func(c *Config) *int { return &c.AckLoggingFrequency })},
}

func (p *parser) checkMetrics() {
	if m := &p.config.Metrics; m.prometheus {
		m.Address = net.JoinHostPort(m.host, strconv.Itoa(m.port))
	}
}
