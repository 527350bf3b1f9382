package config

import (
	"net"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/secure"
)

// Metrics is how what a server measures is shown.
type Metrics struct {
	// Address is host:port of the Prometheus endpoint, "" for none. SecureAddress is that for TLS; both can be the same.
	Address, SecureAddress string
	// TLS are the settings for SecureAddress.
	TLS secure.Settings
	// ExportJVMInfo adds the figures of the process to it.
	ExportJVMInfo bool
	// None keeps gauges and metrics out of mntr, too (NullMetricsProvider).
	None bool
	// Pauses is how pauses of the process are watched for.
	Pauses Pauses

	prometheus       bool
	host             string
	port, securePort int
	need, want       bool // a certificate of the client
}

// Pauses is how pauses of the whole process are watched for: it sleeps for Sleep at a time, and what lasts longer by Info or
// Warn is logged at that level.
type Pauses struct {
	Watched           bool
	Sleep, Info, Warn time.Duration
}

const (
	prometheusProvider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
	defaultProvider    = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"
	nullProvider       = "org.apache.zookeeper.metrics.impl.NullMetricsProvider"
)

func defaultMetrics() Metrics {
	m := Metrics{host: "0.0.0.0", need: true, want: true, ExportJVMInfo: true, TLS: secure.Defaults(false)}
	m.TLS.Reload = true
	m.Pauses = Pauses{Sleep: 500 * time.Millisecond, Info: time.Second, Warn: 10 * time.Second}
	return m
}

// defaultMetricsPort is that without any other.
const defaultMetricsPort = 7000

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
	{"metricsProvider.httpsPort", port(func(c *Config) *int { return &c.Metrics.securePort })},
	{metricsPrefix + "keyStore.location", text(func(c *Config) *string { return &c.Metrics.TLS.KeyStore.Location })},
	{metricsPrefix + "keyStore.password", storePassword(func(c *Config) *secure.Store { return &c.Metrics.TLS.KeyStore })},
	{metricsPrefix + "keyStore.type", inCheck},
	{metricsPrefix + "trustStore.location", text(func(c *Config) *string { return &c.Metrics.TLS.TrustStore.Location })},
	{metricsPrefix + "trustStore.password", storePassword(func(c *Config) *secure.Store { return &c.Metrics.TLS.TrustStore })},
	{metricsPrefix + "trustStore.type", inCheck},
	{metricsPrefix + "need.client.auth", strictBool(func(c *Config) *bool { return &c.Metrics.need })},
	{metricsPrefix + "want.client.auth", strictBool(func(c *Config) *bool { return &c.Metrics.want })},
	{metricsPrefix + "enabledProtocols", inCheck},
	{metricsPrefix + "ciphersuites", inCheck},
	{"metricsProvider.exportJvmInfo", strictBool(func(c *Config) *bool { return &c.Metrics.ExportJVMInfo })},
	{"jvm.pause.monitor", strictBool(func(c *Config) *bool { return &c.Metrics.Pauses.Watched })},
	{"jvm.pause.sleep.time.ms", millis(1, func(c *Config) *time.Duration { return &c.Metrics.Pauses.Sleep })},
	{"jvm.pause.info-threshold.ms", millis(0, func(c *Config) *time.Duration { return &c.Metrics.Pauses.Info })},
	{"jvm.pause.warn-threshold.ms", millis(0, func(c *Config) *time.Duration { return &c.Metrics.Pauses.Warn })},
	{"leader.ackLoggingFrequency", number(0, "a number of txns, or 0 for none", func(c *Config) *int { return &c.AckLoggingFrequency })},
}

func (p *parser) checkMetrics() {
	m := &p.config.Metrics
	switch {
	case m.need:
		m.TLS.ClientAuth = secure.Need
	case m.want:
		m.TLS.ClientAuth = secure.Want
	default:
		m.TLS.ClientAuth = secure.None
	}
	if m.port == 0 && m.securePort == 0 {
		m.port = defaultMetricsPort
	}
	if !m.prometheus {
		return
	}
	if m.port != 0 {
		m.Address = net.JoinHostPort(m.host, strconv.Itoa(m.port))
	}
	if m.securePort != 0 {
		m.SecureAddress = net.JoinHostPort(m.host, strconv.Itoa(m.securePort))
	}
}
