package secure

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestProtocols(t *testing.T) {
	for value, want := range map[string][2]uint16{
		"TLSv1.3": {tls.VersionTLS12, tls.VersionTLS13}, "TLSv1.2": {tls.VersionTLS12, tls.VersionTLS12}, "TLSv1.1": {tls.VersionTLS11, tls.VersionTLS11},
	} {
		var s Settings
		if err := s.SetProtocol(value); err != nil || s.MinVersion != want[0] || s.MaxVersion != want[1] {
			t.Errorf("protocol %s: %x, %x, %v", value, s.MinVersion, s.MaxVersion, err)
		}
	}
	for value, want := range map[string][2]uint16{
		"TLSv1.2": {tls.VersionTLS12, tls.VersionTLS12}, "TLSv1.3, TLSv1.2": {tls.VersionTLS12, tls.VersionTLS13},
		"TLSv1.1,TLSv1.2,TLSv1.2": {tls.VersionTLS11, tls.VersionTLS12}, "TLSv1.3": {tls.VersionTLS13, tls.VersionTLS13},
	} {
		var s Settings
		if err := s.SetEnabledProtocols(value); err != nil || s.MinVersion != want[0] || s.MaxVersion != want[1] {
			t.Errorf("protocols %s: %x, %x, %v", value, s.MinVersion, s.MaxVersion, err)
		}
	}
	for _, value := range []string{"", "SSLv3", "TLS", "tlsv1.2", "TLSv1.1,TLSv1.3", "TLSv1.2,,TLSv1.3"} {
		if new(Settings).SetEnabledProtocols(value) == nil || new(Settings).SetProtocol(value) == nil {
			t.Errorf("%q is a protocol", value)
		}
	}
}

// defaultsOfJava are what X509Util sets where nobody chooses.
const defaultsOfJava = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256," +
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256," +
	"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA," +
	"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA," +
	"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"

func TestCipherSuites(t *testing.T) {
	const gcm = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	for _, test := range []struct {
		value       string
		suites      int
		leftOut     string
		least, most uint16
	}{
		{gcm, 1, "", tls.VersionTLS12, tls.VersionTLS12},
		{gcm + ", TLS_AES_128_GCM_SHA256", 1, "", tls.VersionTLS12, tls.VersionTLS13},
		{"TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384", 0, "", tls.VersionTLS13, tls.VersionTLS13},
		{gcm + ",TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,SSL_RSA_WITH_3DES_EDE_CBC_SHA,TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 1,
			"TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 SSL_RSA_WITH_3DES_EDE_CBC_SHA TLS_EMPTY_RENEGOTIATION_INFO_SCSV", tls.VersionTLS12, tls.VersionTLS12},
		{defaultsOfJava, 10, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", tls.VersionTLS12, tls.VersionTLS12},
	} {
		var s Settings
		leftOut, err := s.SetCipherSuites(test.value)
		if err != nil || len(s.CipherSuites) != test.suites || strings.Join(leftOut, " ") != test.leftOut || s.MinVersion != test.least || s.MaxVersion != test.most {
			t.Errorf("%s: %+v, %v, %v", test.value, s, leftOut, err)
		}
	}
	for _, value := range []string{"", gcm + ",", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_", gcm + ";" + gcm} {
		if _, err := new(Settings).SetCipherSuites(value); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
	s := Settings{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13}
	if _, err := s.SetCipherSuites(gcm); err == nil {
		t.Error("cipher suites of TLS 1.2 are taken for TLS 1.3")
	}
}

func TestApprove(t *testing.T) {
	var s Settings
	if leftOut := s.Approve(); leftOut != nil || len(s.CipherSuites) != 4 || s.MaxVersion != tls.VersionTLS12 || len(s.Curves) != 3 {
		t.Errorf("%+v, %v", s, leftOut)
	}
	s = Settings{CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS13}
	if leftOut := s.Approve(); !reflect.DeepEqual(leftOut, []string{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"}) || s.MinVersion != tls.VersionTLS12 || s.MaxVersion != tls.VersionTLS13 {
		t.Errorf("%+v, %v", s, leftOut)
	}
}

func TestPasswordsAreHidden(t *testing.T) {
	s := Settings{KeyStore: Store{Location: "/key", Password: "hunter2"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, s); strings.Contains(text, "hunter2") || !strings.Contains(text, "/key") {
			t.Errorf("%s: %s", format, text)
		}
	}
	err := &StoreError{Store: s.KeyStore, Err: fmt.Errorf("x")}
	if text := fmt.Sprintf("%v %+v", err, *err); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}
