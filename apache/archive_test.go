package apache

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed is a .tar.gz of files by name; a name with " -> " is a symbolic link.
func packed(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, name := range names {
		h := &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(name))}
		link, target, isLink := strings.Cut(name, " -> ")
		switch {
		case isLink:
			h.Name, h.Linkname, h.Typeflag, h.Size = link, target, tar.TypeSymlink, 0
		case strings.HasSuffix(name, "/"):
			h.Typeflag, h.Size = tar.TypeDir, 0
		case strings.HasSuffix(name, "|"):
			h.Typeflag, h.Size = tar.TypeFifo, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Both layouts are recognised: the classic one with the server's jar beside bin, and that since 3.5.5.
func TestLayouts(t *testing.T) {
	classic := packed(t, "zookeeper-3.4.8/", "zookeeper-3.4.8/bin/zkServer.sh", "zookeeper-3.4.8/conf/log4j.properties",
		"zookeeper-3.4.8/lib/slf4j-log4j12-1.6.1.jar", "zookeeper-3.4.8/lib/log4j-1.2.16.jar", "zookeeper-3.4.8/zookeeper-3.4.8.jar",
		"zookeeper-3.4.8/zookeeper-3.4.8.jar.asc", "zookeeper-3.4.8/lib/jdiff/zookeeper_3.1.1.xml", "zookeeper-3.4.8/contrib/fatjar/zookeeper-3.4.8-fatjar.jar",
		"zookeeper-3.4.8/dist-maven/zookeeper-3.4.8.jar", "zookeeper-3.4.8/dist-maven/zookeeper-3.4.8-tests.jar")
	modern := packed(t, "apache-zookeeper-3.8.4-bin/lib/zookeeper-jute-3.8.4.jar", "apache-zookeeper-3.8.4-bin/lib/zookeeper-3.8.4.jar",
		"apache-zookeeper-3.8.4-bin/lib/zookeeper-prometheus-metrics-3.8.4.jar", "apache-zookeeper-3.8.4-bin/bin/zkServer.sh")
	for _, c := range []struct {
		data          []byte
		version, jars string
		prometheus    bool
	}{
		{classic, "3.4.8", "zookeeper-3.4.8.jar lib/log4j-1.2.16.jar lib/slf4j-log4j12-1.6.1.jar", false},
		{modern, "3.8.4", "lib/zookeeper-3.8.4.jar lib/zookeeper-jute-3.8.4.jar lib/zookeeper-prometheus-metrics-3.8.4.jar", true},
	} {
		r, err := Parse("a.tar.gz", c.data)
		if err != nil {
			t.Errorf("%s: %v", c.version, err)
			continue
		}
		var jars []string
		for _, j := range r.Jars {
			jars = append(jars, j.Path)
		}
		if r.Version.String() != c.version || strings.Join(jars, " ") != c.jars || r.Prometheus != c.prometheus {
			t.Errorf("want %s: %v, %v, Prometheus %v", c.version, r.Version, jars, r.Prometheus)
		}
		if !strings.HasPrefix(r.Name(), "apache-zookeeper-"+c.version+"-") {
			t.Errorf("name %s", r.Name())
		}
	}
}

func TestWrongArchives(t *testing.T) {
	for want, data := range map[string][]byte{
		"is no .tar.gz":                []byte("PK\x03\x04"),
		"is the source of a release":   packed(t, "apache-zookeeper-3.8.0/pom.xml", "apache-zookeeper-3.8.0/bin/zkServer.sh"),
		"has neither":                  packed(t, "x/README"),
		"has no libraries":             packed(t, "zookeeper-3.4.8/zookeeper-3.4.8.jar"),
		"has two servers":              packed(t, "z/zookeeper-3.4.8.jar", "z/lib/zookeeper-3.8.0.jar", "z/lib/a.jar"),
		"at its top":                   packed(t, "a/lib/zookeeper-3.8.0.jar", "b/lib/x.jar"),
		"outside of the release":       packed(t, "../etc/passwd"),
		"leads out of the release":     packed(t, "a/lib/zookeeper-3.8.0.jar", "a/lib/x.jar -> ../../../etc/passwd"),
		"is neither a file":            packed(t, "a/lib/zookeeper-3.8.0.jar", "a/lib/pipe|"),
		"is too old":                   packed(t, "a/zookeeper-3.3.6.jar", "a/lib/x.jar"),
		"cannot be read":               packed(t, "a/lib/zookeeper-3.8.0.jar", "a/lib/x.jar")[:60],
		"would lie outside of the rel": packed(t, "/a/lib/zookeeper-3.8.0.jar"),
	} {
		_, err := Parse("a.tar.gz", data)
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || wrong.Hint() == "" {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if _, err := Parse("a.tar.gz", packed(t, "a/lib/zookeeper-3.8.0.jar", "a/lib/x.jar", "a/lib/y.jar -> x.jar")); err != nil {
		t.Errorf("a link inside: %v", err)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zookeeper.tar.gz")
	var wrong *Error
	if _, err := Load(file); !errors.As(err, &wrong) || !strings.Contains(err.Error(), file) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(file, packed(t, "a/lib/zookeeper-3.8.0.jar", "a/lib/x.jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Load(file); err != nil || again != first {
		t.Errorf("read twice: %v", err)
	}
	if err := os.WriteFile(file, packed(t, "a/lib/zookeeper-3.9.12.jar", "a/lib/x.jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other, err := Load(file); err != nil || other.Version != (Version{3, 9, 12}) {
		t.Errorf("another file under the same name: %v, %v", other.Version, err)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]Version{"3.4.8": {3, 4, 8}, "3.8.0-11+deb12u2": {3, 8, 0}, "3.10.0-SNAPSHOT": {3, 10, 0}, "3.5.4-beta": {3, 5, 4}} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3.8", "x.y.z"} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	for text, want := range map[string]int{"1.8.0_292": 8, "17.0.15": 17, "1.6.0": 6, "9": 9, "21-ea": 21, "": 0, "x": 0} {
		if got := JavaFeature(text); got != want {
			t.Errorf("Java %q: %d", text, got)
		}
	}
	old, present := Version{3, 4, 8}, Version{3, 8, 0}
	if old.MinJava() != 6 || present.MinJava() != 8 {
		t.Error("MinJava")
	}
	for _, key := range []string{"metricsProvider.httpPort", "admin.enableServer", "reconfigEnabled", "sslQuorum", "ssl.quorum.keyStore.location"} {
		if _, known := old.Knows(key); known {
			t.Errorf("3.4.8 does not know %s", key)
		}
		if since, known := present.Knows(key); !known || since == (Version{}) {
			t.Errorf("3.8.0 knows %s", key)
		}
	}
	if since, known := present.Knows("admin.snapshot.enabled"); known || since != (Version{3, 9, 0}) {
		t.Errorf("admin.snapshot.enabled came with 3.9, not %v", since)
	}
	if _, known := old.Knows("tickTime"); !known {
		t.Error("tickTime is as old as the hills")
	}
}
