package zkcli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/server/secure"
	"github.com/zkctl/zkctl/test/authority"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadSettings(t *testing.T) {
	t.Setenv("CLIENT_JVMFLAGS", "-Xmx1g -Done=1 -Dtwo=2 -Dflag")
	t.Setenv("JVMFLAGS", "-Dthree=a=b -Dtwo=other")
	s, err := loadSettings(writeFile(t, "client.properties", "# comment\none = file\nfour\\\n: 4\n"))
	if err != nil || s["one"] != "file" || s["two"] != "other" || s["three"] != "a=b" || s["four"] != "4" || len(s) != 5 {
		t.Errorf("%v, %v", s, err)
	}
	if s, err = loadSettings(""); err != nil || s["one"] != "1" {
		t.Errorf("%v, %v", s, err)
	}
	bad := writeFile(t, "bad.properties", "x=1\ny=\\u12\n")
	if _, err = loadSettings(bad); err == nil || err.Error() != "Error while processing "+bad+"\nCaused by: line 2: \\u is not followed by four hexadecimal digits" {
		t.Error(err)
	}
	if _, err = loadSettings("/none"); err == nil || err.Error() != "Error while processing /none\nCaused by: /none file is missing" {
		t.Error(err)
	}
}

const digestSection = ` { org.apache.zookeeper.server.auth.DigestLoginModule required username="bob" password="hush"; };`

// TestSASLSettings authenticates at a server's side of the mechanism.
func TestSASLSettings(t *testing.T) {
	logins := writeFile(t, "jaas.conf", "Client"+digestSection+"\nOther"+digestSection+"\nKerberos { com.sun.security.auth.module.Krb5LoginModule required; };")
	for name, test := range map[string]struct {
		settings settings
		user     bool
		err      string
	}{
		"none":     {settings{}, false, ""},
		"default":  {settings{"java.security.auth.login.config": logins}, true, ""},
		"section":  {settings{"java.security.auth.login.config": logins, "zookeeper.sasl.clientconfig": "Other"}, true, ""},
		"disabled": {settings{"java.security.auth.login.config": logins, "zookeeper.sasl.client": "false"}, false, ""},
		"missing":  {settings{"java.security.auth.login.config": logins, "zookeeper.sasl.clientconfig": "No"}, false, "has no section No"},
		"kerberos": {settings{"java.security.auth.login.config": logins, "zookeeper.sasl.clientconfig": "Kerberos"}, false, "nothing else is supported"},
		"no file":  {settings{"java.security.auth.login.config": "/none"}, false, "no such file"},
		"no jaas":  {settings{"java.security.auth.login.config": writeFile(t, "x", "Client {")}, false, "line 1"},
	} {
		var o client.Options
		err := test.settings.apply(&o, nil)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || (o.SASL != nil) != test.user:
			t.Errorf("%s: %v, %v", name, o.SASL != nil, err)
		case test.user:
			server := sasl.NewServer("zookeeper", "zk-sasl-md5", "nonce", func(user string) (string, bool) { return "hush", user == "bob" })
			c := o.SASL()
			var challenge []byte
			for {
				answer, done, err := c.Step(challenge)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if done {
					break
				}
				if challenge, err = server.Respond(answer); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestSecureSettings(t *testing.T) {
	dir := t.TempDir()
	ca := authority.New(t, "ca")
	id, trust := authority.Write(t, dir, "id.pem", ca.Named(t, "me").PEM(t)), authority.Write(t, dir, "trust.pem", ca.PEM())
	base := func(more ...string) settings {
		s := settings{"zookeeper.client.secure": "true", "zookeeper.ssl.keyStore.location": id, "zookeeper.ssl.trustStore.location": trust}
		for i := 0; i < len(more); i += 2 {
			s["zookeeper."+more[i]] = more[i+1]
		}
		return s
	}
	for name, test := range map[string]struct {
		settings settings
		err      string
	}{
		"good":        {base("ssl.protocol", "TLSv1.2", "ssl.enabledProtocols", "TLSv1.2,TLSv1.3", "ssl.ciphersuites", "TLS_AES_128_GCM_SHA256"), ""},
		"no key":      {base("ssl.keyStore.location", ""), ""},
		"no trust":    {base("ssl.trustStore.location", ""), "trustStore.location is missing"},
		"type":        {base("ssl.keyStore.type", "x"), "zookeeper.ssl.keyStore.type: unknown store type"},
		"file":        {base("ssl.keyStore.location", "/none.pem"), "key store /none.pem: no such file"},
		"protocol":    {base("ssl.protocol", "SSLv3"), "zookeeper.ssl.protocol: not one of"},
		"protocols":   {base("ssl.enabledProtocols", "SSLv3"), "zookeeper.ssl.enabledProtocols: "},
		"ciphers":     {base("ssl.ciphersuites", "x"), "zookeeper.ssl.ciphersuites: there is no"},
		"max buffer":  {settings{"jute.maxbuffer": "x"}, "jute.maxbuffer"},
		"not secure":  {settings{"zookeeper.client.secure": "false", "zookeeper.ssl.protocol": "SSLv3"}, ""},
		"hexadecimal": {settings{"jute.maxbuffer": "0x1000"}, ""},
	} {
		var o client.Options
		err := test.settings.apply(&o, nil)
		if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", name, err)
		}
		if secured := test.settings["zookeeper.client.secure"] == "true" && test.err == ""; secured != (o.Dial != nil) {
			t.Errorf("%s: TLS %v", name, !secured)
		}
	}
	how, err := base("ssl.hostnameVerification", "false", "ssl.crl", "True").secure()
	if err != nil || how.VerifyHost || !how.CRL || how.OCSP {
		t.Errorf("%+v, %v", how, err)
	}
	if how, _ = base().secure(); !how.VerifyHost || how.CRL || how.ClientAuth != secure.Need {
		t.Errorf("%+v", how)
	}
}

// TestNoPasswordIsShown if a store cannot be opened.
func TestNoPasswordIsShown(t *testing.T) {
	store := writeFile(t, "store.p12", "no store")
	s := settings{"zookeeper.client.secure": "true", "zookeeper.ssl.trustStore.location": store, "zookeeper.ssl.trustStore.password": "hush"}
	var o client.Options
	var complaints bytes.Buffer
	err := s.apply(&o, &complaints)
	if err == nil || strings.Contains(err.Error()+complaints.String(), "hush") {
		t.Errorf("%v %s", err, complaints.String())
	}
}

// TestConnectTimeout: -waitforconnection waits as long as the session timeout says.
func TestConnectTimeout(t *testing.T) {
	var out bytes.Buffer
	began := time.Now()
	if code := Run("dev", []string{"-server", "127.0.0.1:1", "-timeout", "300", "-waitforconnection", "version"}, nil, &out, &out); code != 1 {
		t.Errorf("code %d: %s", code, out.String())
	}
	if waited := time.Since(began); waited < 300*time.Millisecond || waited > 10*time.Second {
		t.Errorf("it waits %v", waited)
	}
}
