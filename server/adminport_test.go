package server

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/authority"
)

// get asks for a URL; certificates are those that the client shows.
func get(t *testing.T, url, authorization string, trusted *authority.Authority, certificates ...tls.Certificate) (*http.Response, string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted.Pool(), Certificates: certificates}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	a, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	return a, string(body), err
}

// stores writes the files of a server, and returns the settings that name them.
func stores(t *testing.T, prefix string, trusted *authority.Authority, own authority.Identity) string {
	t.Helper()
	dir := t.TempDir()
	return prefix + "keyStore.location=" + authority.Write(t, dir, "key.pem", own.PEM(t)) + "\n" +
		prefix + "trustStore.location=" + authority.Write(t, dir, "trust.pem", trusted.PEM()) + "\n"
}

func TestAdminServerOverTLS(t *testing.T) {
	good, evil := authority.New(t, "good"), authority.New(t, "evil")
	server := good.Named(t, "server")
	nobodysHost := authority.Wish{Subject: pkix.Name{CommonName: "operator"}, NoHosts: true}
	client, stranger := good.Issue(t, nobodysHost), evil.Issue(t, nobodysHost)
	const super = "X509AuthenticationProvider.superUser=CN=operator\n"
	for name, c := range map[string]struct {
		settings              string
		plain, without, wrong bool // are served
		authorized            int  // the operator's status with the scheme x509
	}{
		"HTTPS alone":             {"admin.forceHttps=true\n", false, true, true, 401},
		"both":                    {"admin.portUnification=true\n", true, true, true, 401},
		"HTTPS before both":       {"admin.portUnification=true\nadmin.forceHttps=true\n", false, true, true, 401},
		"certificates of clients": {"admin.forceHttps=true\nadmin.needClientAuth=true\n" + super, false, false, false, 200},
		"certificates, both":      {"admin.portUnification=true\nadmin.needClientAuth=true\n", true, false, false, 200},
	} {
		t.Run(name, func(t *testing.T) {
			members := newEnsemble(t, 1, stores(t, "ssl.quorum.", good, server))
			address := administer(t, members, c.settings)[0]
			startAll(t, members)
			served := func(what, url string, want bool, certificates ...tls.Certificate) {
				t.Helper()
				a, body, err := get(t, url, "", good, certificates...)
				if ok := err == nil && a.StatusCode == 200 && strings.Contains(body, `"error" : null`); ok != want {
					t.Errorf("%s is served: %v, %v, %s", what, ok, err, body)
				}
				if err == nil && (a.Header.Get("Strict-Transport-Security") == "max-age=86400; includeSubDomains") != (a.TLS != nil) {
					t.Errorf("%s: %v", what, a.Header)
				}
			}
			served("plain HTTP", "http://"+address+"/commands/ruok", c.plain)
			served("HTTPS without a certificate", "https://"+address+"/commands/ruok", c.without)
			served("HTTPS with a certificate", "https://"+address+"/commands/ruok", true, client.TLS())
			served("HTTPS with that of another authority", "https://"+address+"/commands/ruok", c.wrong, stranger.TLS())
			a, body, err := get(t, "https://"+address+"/commands/snapshot", "x509", good, client.TLS())
			if err != nil || a.StatusCode != c.authorized {
				t.Errorf("the scheme x509: %v, %v, %.100s", a, err, body)
			}
			if want := map[bool]string{true: "\t1\n", false: "\t0\n"}[c.plain]; !strings.Contains(members[0].word("mntr"), "zk_insecure_admin_count"+want) {
				t.Errorf("insecure_admin_count is not%q", want)
			}
		})
	}
}

// The server stops at once, whoever holds up a handshake.
func TestStopDuringHandshakes(t *testing.T) {
	good := authority.New(t, "good")
	server := good.Named(t, "server")
	members := newEnsemble(t, 1, stores(t, "ssl.quorum.", good, server))
	address := administer(t, members, "admin.forceHttps=true\n")[0]
	startAll(t, members)
	for _, begin := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01"} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, begin)
	}
	if _, body, err := get(t, "https://"+address+"/commands/ruok", "", good); err != nil || !strings.Contains(body, "ruok") {
		t.Errorf("beside them: %v, %s", err, body)
	}
	members[0].stop() // which demands that it does not take long
}

func TestMetricsOverTLS(t *testing.T) {
	good := authority.New(t, "good")
	server := good.Named(t, "server")
	client := good.Named(t, "monitor")
	const provider = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\nmetricsProvider.httpHost=127.0.0.1\n"
	ports := freePorts(t, 2)
	plain, secured := strconv.Itoa(ports[0]), strconv.Itoa(ports[1])
	for name, c := range map[string]struct {
		settings    string
		http, https string
		without     bool
	}{
		"TLS alone": {"metricsProvider.httpsPort=" + secured + "\n", "", secured, false},
		"two ports": {"metricsProvider.httpPort=" + plain + "\nmetricsProvider.httpsPort=" + secured + "\n", plain, secured, false},
		"one port":  {"metricsProvider.httpPort=" + secured + "\nmetricsProvider.httpsPort=" + secured + "\nmetricsProvider.ssl.need.client.auth=false\n", secured, secured, true},
	} {
		t.Run(name, func(t *testing.T) {
			members := newEnsemble(t, 1, provider+c.settings+stores(t, "metricsProvider.ssl.", good, server))
			startAll(t, members)
			served := func(scheme, port string, want bool, certificates ...tls.Certificate) {
				t.Helper()
				ok := false
				var err error
				for deadline := time.Now().Add(5 * time.Second); !ok && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
					var body string
					_, body, err = get(t, scheme+"://127.0.0.1:"+port+"/metrics", "", good, certificates...)
					ok = err == nil && strings.Contains(body, "znode_count")
					if !want {
						break
					}
				}
				if ok != want {
					t.Errorf("%s with %d certificates is served: %v, %v", scheme, len(certificates), ok, err)
				}
			}
			served("https", c.https, true, client.TLS())
			served("https", c.https, c.without)
			if c.http != "" {
				served("http", c.http, true)
			}
		})
	}
}
