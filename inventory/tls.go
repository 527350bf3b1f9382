package inventory

import (
	"slices"
	"strings"
)

// tlsKeys are the settings of zoo.cfg that zkctl writes where TLS is on.
var tlsKeys = []string{
	"secureClientPort", "secureClientPortAddress", "client.portUnification", "client.certReload", "sslQuorum", "portUnification",
	"sslQuorumReloadCertFiles", "ssl.clientAuth", "ssl.quorum.clientAuth",
}

// GivesTLS reports whether the settings of zoo.cfg themselves turn TLS on, where the section tls does not: then it is nobody's
// to switch but theirs.
func (h Host) GivesTLS() bool {
	return !h.TLS.On() && slices.ContainsFunc([]string{"secureClientPort", "sslQuorum", "portUnification"}, func(key string) bool { return h.ZooCfg[key] != "" })
}

// tls refuses what cannot be: members that do not agree on what is spoken, files that are missing.
func (l *loader) tls(first, h Host) {
	t := h.TLS
	if t.Client == "" || first.TLS.Client == "" {
		return // no mapping, which was reported
	}
	for _, s := range []struct{ key, one, other string }{
		{"client", first.TLS.Client, t.Client}, {"quorum", first.TLS.Quorum, t.Quorum}, {"ca", first.TLS.Authority, t.Authority},
	} {
		if s.one != s.other {
			l.problem(h.place("tls"), "%s: tls.%s is %s, but %s for %s (%s): it must be the same for all members", h.Name, s.key, s.other, s.one,
				first.Name, first.place("tls"))
		}
	}
	for _, n := range t.Names {
		if why := noAddress(strings.TrimPrefix(n, "*.")); why != "" {
			l.problem(h.place("tls"), "%s: tls.names: %q is neither a name nor an IP address: %s", h.Name, n, why)
		}
	}
	if !t.On() {
		return
	}
	if t.Authority == "files" {
		for _, f := range []struct{ key, path string }{{"ca_file", t.CAFile}, {"certificate_file", t.CertificateFile}, {"key_file", t.KeyFile}} {
			if f.path == "" {
				l.problem(h.place("tls"), "%s: tls.%s is needed with tls.ca: files", h.Name, f.key)
			}
		}
		if (t.ZkctlCertificateFile == "") != (t.ZkctlKeyFile == "") {
			l.problem(h.place("tls"), "%s: tls.zkctl_certificate_file and tls.zkctl_key_file go together", h.Name)
		}
		if t.Client == "required" && t.ClientAuth == "need" && t.ZkctlCertificateFile == "" {
			l.problem(h.place("tls"), "%s: tls.zkctl_certificate_file and tls.zkctl_key_file are needed: members will let nobody in without a certificate", h.Name)
		}
	}
	for _, key := range sortedKeys(h.ZooCfg) {
		if slices.Contains(tlsKeys, key) || strings.HasPrefix(key, "ssl.") && strings.Contains(key, "Store.") {
			l.problem(h.place("zoo_cfg_extra"), "%s: %s in zoo.cfg: zkctl writes this itself where the section tls turns TLS on", h.Name, key)
		}
	}
}
