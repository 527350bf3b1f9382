package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsAreHiddenInTheText(t *testing.T) {
	text := "# a comment\r\ndataDir=/var/lib/zk\r\n  ssl.keyStore.password = hunter2\n" +
		"ssl.trustStore.password:hunter3\nssl.quorum.keyStore.password hunter4\n" +
		"ssl.quorum.trustStore.pass\\word=hunt\\u0065r5\nSASLAuthenticationProvider.superPassword=hunt\\\n   er6\n" +
		"DigestAuthenticationProvider.superDigest=super:hunter7\nssl.keyStore.passwordPath=/etc/secret\n#old: hunter2\nclientPort=2181"
	want := "# a comment\r\ndataDir=/var/lib/zk\r\nssl.keyStore.password=(hidden)\n" +
		"ssl.trustStore.password=(hidden)\nssl.quorum.keyStore.password=(hidden)\n" +
		"ssl.quorum.trustStore.password=(hidden)\nSASLAuthenticationProvider.superPassword=(hidden)\n" +
		"DigestAuthenticationProvider.superDigest=(hidden)\nssl.keyStore.passwordPath=/etc/secret\n#old: (hidden)\nclientPort=2181"
	if got := withoutSecrets([]byte(text)); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func FuzzWithoutSecrets(f *testing.F) {
	for _, seed := range []string{"a=b", "password=x\\", "x.password", "ssl.keyStore.password=a\\\n\\\n b\nc=d", "=password", "pass\\u0077ord=hunter2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		safe := withoutSecrets(text)
		properties, _ := readProperties(text)
		for _, at := range properties {
			if secret(at.key) && len(at.value) > 8 && strings.Contains(safe, at.value) {
				t.Errorf("%q shows the value %q", safe, at.value)
			}
		}
	})
}

func TestSystemProperties(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	text := "dataDir=" + dir + "\nclientPort=2181\nsnapCount=5000\n4lw.commands.whitelist=*\nssl.keyStore.password=hunter2\njute.maxbuffer=2048\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, Flags{Source: "SERVER_JVMFLAGS", Words: []string{"-Dzookeeper.globalOutstandingLimit=7", "-Dzookeeper.snapCount=1"}})
	if err != nil {
		t.Fatal(err)
	}
	all := c.SystemProperties()
	for name, want := range map[string]string{
		"zookeeper.snapCount": "5000", "zookeeper.4lw.commands.whitelist": "*", "zookeeper.globalOutstandingLimit": "7",
		"zookeeper.ssl.keyStore.password": "(hidden)", "jute.maxbuffer": "2048", "line.separator": "\n", "clientPort": "", "zookeeper.clientPort": "",
	} {
		if all[name] != want {
			t.Errorf("%s is %q, want %q", name, all[name], want)
		}
	}
	if all["user.dir"] == "" || !strings.HasPrefix(c.Source.Text, "dataDir=") || strings.Contains(c.Source.Text, "hunter2") {
		t.Errorf("user.dir %q, text %q", all["user.dir"], c.Source.Text)
	}
}
