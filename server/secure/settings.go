package secure

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults are the settings where a configuration says nothing: those for clients, or for the members among themselves.
func Defaults(members bool) Settings {
	return Settings{
		VerifyHost: true, VerifyClientHost: members, ReverseLookup: members,
		DetectionTimeout: 5 * time.Second,
	}
}

// protocols are the names that Java has for them.
var protocols = map[string]uint16{
	"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

const knownProtocols = "TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3"

// SetProtocol takes the value of the key protocol: the newest version. That of 1.3 leaves 1.2 in, as Java does.
func (s *Settings) SetProtocol(value string) error {
	version, ok := protocols[value]
	if !ok {
		return errors.New("not one of " + knownProtocols)
	}
	s.MinVersion, s.MaxVersion = min(version, tls.VersionTLS12), version
	return nil
}

// SetEnabledProtocols takes the value of the key enabledProtocols, names with commas in between.
func (s *Settings) SetEnabledProtocols(value string) error {
	var versions []uint16
	for name := range strings.SplitSeq(value, ",") {
		version, ok := protocols[strings.TrimSpace(name)]
		if !ok {
			return fmt.Errorf("%q is not one of %s", strings.TrimSpace(name), knownProtocols)
		}
		versions = append(versions, version)
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	s.MinVersion, s.MaxVersion = versions[0], versions[len(versions)-1]
	if int(s.MaxVersion-s.MinVersion) != len(versions)-1 {
		return errors.New("a version between two others cannot be left out")
	}
	return nil
}

// versions are the bounds of the protocol.
func (s Settings) versions() (least, most uint16) {
	return cmp.Or(s.MinVersion, tls.VersionTLS12), cmp.Or(s.MaxVersion, tls.VersionTLS13)
}

// SetCipherSuites takes the value of the key ciphersuites, names of Java with commas in between. leftOut are suites that
// Java has and crypto/tls has not, or has only to name them: those of DHE and DSS, RC4, 3DES. Those of TLS 1.3 can only be
// taken or left as a whole. The protocol has to be set before.
func (s *Settings) SetCipherSuites(value string) (leftOut []string, err error) {
	var newer, older bool
	s.CipherSuites = nil
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		iana := name
		if rest, ok := strings.CutPrefix(name, "SSL_"); ok {
			iana = "TLS_" + rest
		}
		suite := suiteNamed(iana)
		switch {
		case suite != nil && slices.Equal(suite.SupportedVersions, []uint16{tls.VersionTLS13}):
			newer = true
		case suite != nil && !strings.Contains(iana, "_RC4_") && !strings.Contains(iana, "_3DES_"):
			older = true
			s.CipherSuites = append(s.CipherSuites, suite.ID)
		case suite != nil || onlyJavaHas(iana):
			leftOut = append(leftOut, name)
		default:
			return nil, fmt.Errorf("there is no cipher suite %q", name)
		}
	}
	if !newer && !older {
		return nil, errors.New("none of these cipher suites is supported by this server")
	}
	least, most := s.versions()
	if !older {
		least = tls.VersionTLS13
	}
	if !newer {
		most = min(most, tls.VersionTLS12)
	}
	if least > most {
		return nil, fmt.Errorf("none of these cipher suites goes with %s", tls.VersionName(min(least, most)))
	}
	s.MinVersion, s.MaxVersion = least, most
	return leftOut, nil
}

func suiteNamed(name string) *tls.CipherSuite {
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if suite.Name == name {
			return suite
		}
	}
	return nil
}

// onlyJavaHas tells of cipher suites that the JDK knows, in some version, and crypto/tls does not.
func onlyJavaHas(name string) bool {
	switch name {
	case "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "TLS_RSA_WITH_AES_256_CBC_SHA256",
		"TLS_EMPTY_RENEGOTIATION_INFO_SCSV":
		return true
	}
	rest, found := "", false
	for _, exchange := range []string{
		"TLS_DHE_DSS_", "TLS_DHE_RSA_", "TLS_DH_anon_", "TLS_ECDH_ECDSA_", "TLS_ECDH_RSA_", "TLS_ECDH_anon_", "TLS_ECDHE_ECDSA_", "TLS_KRB5_",
	} {
		if rest, found = strings.CutPrefix(name, exchange); found {
			break
		}
	}
	_, known := javaCiphers[rest]
	return known
}

// javaCiphers are the parts of names behind the key exchange.
var javaCiphers = map[string]struct{}{
	"WITH_AES_128_CBC_SHA": {}, "WITH_AES_128_CBC_SHA256": {}, "WITH_AES_128_GCM_SHA256": {}, "WITH_AES_256_CBC_SHA": {},
	"WITH_AES_256_CBC_SHA256": {}, "WITH_AES_256_CBC_SHA384": {}, "WITH_AES_256_GCM_SHA384": {},
	"WITH_CHACHA20_POLY1305_SHA256": {}, "WITH_3DES_EDE_CBC_SHA": {}, "WITH_3DES_EDE_CBC_MD5": {}, "WITH_DES_CBC_SHA": {},
	"WITH_DES_CBC_MD5": {}, "WITH_RC4_128_SHA": {}, "WITH_RC4_128_MD5": {}, "WITH_NULL_SHA": {},
}

// Approve leaves only what FIPS 140-3 approves of (fips-mode); without a choice of the protocol that is TLS 1.2, as Apache
// ZooKeeper has it in this mode. leftOut are cipher suites that were chosen and are not approved.
func (s *Settings) Approve() (leftOut []string) {
	approved := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
	if s.CipherSuites == nil {
		s.CipherSuites = approved
	}
	s.CipherSuites = slices.DeleteFunc(slices.Clone(s.CipherSuites), func(id uint16) bool {
		if slices.Contains(approved, id) {
			return false
		}
		leftOut = append(leftOut, tls.CipherSuiteName(id))
		return true
	})
	if s.MinVersion == 0 && s.MaxVersion == 0 {
		s.MaxVersion = tls.VersionTLS12
	}
	s.MinVersion = max(s.MinVersion, tls.VersionTLS12)
	s.Curves = []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521}
	return leftOut
}

// SetClientAuth takes the value of the key clientAuth.
func (s *Settings) SetClientAuth(value string) error {
	switch strings.ToLower(value) {
	case "need":
		s.ClientAuth = Need
	case "want":
		s.ClientAuth = Want
	case "none":
		s.ClientAuth = None
	default:
		return errors.New("not one of need, want and none")
	}
	return nil
}
