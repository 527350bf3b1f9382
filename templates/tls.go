package templates

import (
	"maps"
	"strconv"

	"github.com/zkctl/zkctl/inventory"
)

// Stage is how far TLS is switched on. Members understand one another, and clients find a port, as long as their stages
// are no more than one apart in each of the two.
type Stage struct {
	Client, Quorum int
}

// The stages of the client port.
const (
	ClientPlain = iota
	ClientBoth  // a second port is for TLS
	ClientTLS   // the plain port is gone
)

// The stages between members.
const (
	QuorumPlain    = iota
	QuorumListens  // plain is spoken, TLS is taken, too
	QuorumSwitched // TLS is spoken, plain is taken, too
	QuorumTLS
)

// WantedStage is what the inventory says.
func WantedStage(t inventory.TLS) Stage {
	s := Stage{Client: map[string]int{"optional": ClientBoth, "required": ClientTLS}[t.Client]}
	if t.Quorum == "on" {
		s.Quorum = QuorumTLS
	}
	return s
}

// StageOf reads the stage from the settings in a zoo.cfg.
func StageOf(settings map[string]string) Stage {
	var s Stage
	switch {
	case settings["secureClientPort"] == "":
	case settings["clientPort"] == "":
		s.Client = ClientTLS
	default:
		s.Client = ClientBoth
	}
	speaks, both := settings["sslQuorum"] == "true", settings["portUnification"] == "true"
	switch {
	case speaks && both:
		s.Quorum = QuorumSwitched
	case speaks:
		s.Quorum = QuorumTLS
	case both:
		s.Quorum = QuorumListens
	}
	return s
}

// Stage is how far TLS is switched on for the member.
func (m Member) Stage() Stage {
	if m.TLS != nil {
		return *m.TLS
	}
	return WantedStage(m.Host.TLS)
}

// tlsSettings adds what turns TLS on to the settings of zoo.cfg. Settings of the inventory win where they say how, such as
// by which ciphers.
func (m Member) tlsSettings(values map[string]string) {
	stage := m.Stage()
	given := maps.Clone(values)
	stores := func(prefix string) {
		values[prefix+"keyStore.location"], values[prefix+"keyStore.type"] = m.KeyStore(), "PEM"
		values[prefix+"trustStore.location"], values[prefix+"trustStore.type"] = m.TrustStore(), "PEM"
	}
	if stage.Client != ClientPlain {
		stores("ssl.")
		values["ssl.clientAuth"] = m.Host.TLS.ClientAuth
		values["secureClientPort"] = strconv.Itoa(m.Host.Server.Ports.Secure)
		values["client.certReload"] = "true"
		if address := values["clientPortAddress"]; address != "" {
			values["secureClientPortAddress"] = address
		}
	}
	if stage.Client == ClientTLS {
		delete(values, "clientPort")
		delete(values, "clientPortAddress")
		delete(values, "clientPortListenBacklog")
	}
	if stage.Quorum != QuorumPlain {
		stores("ssl.quorum.")
		values["sslQuorumReloadCertFiles"] = "true"
		values["sslQuorum"] = strconv.FormatBool(stage.Quorum >= QuorumSwitched)
		values["portUnification"] = strconv.FormatBool(stage.Quorum < QuorumTLS)
	}
	for key := range values {
		if value, said := given[key]; said {
			values[key] = value
		}
	}
}
