//go:build suites

package suites

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCClient runs zktest-mt, the tests of the C client for several threads.
func TestCClient(t *testing.T) {
	for file, debianPackage := range map[string]string{
		"autoreconf": "autoconf", "automake": "automake", "libtoolize": "libtool", "g++": "build-essential", "pkg-config": "pkg-config",
		"/usr/include/cppunit": "libcppunit-dev", "/usr/include/openssl": "libssl-dev", "/usr/include/sasl": "libsasl2-dev",
		"/usr/share/doc/libsasl2-modules": "libsasl2-modules", "openssl": "openssl", "keytool": "default-jre-headless",
		"ps": "procps", "hostname": "hostname",
	} {
		need(t, file, debianPackage)
	}
	tree := sources(t)
	client := filepath.Join(tree, "zookeeper-client", "zookeeper-client-c")
	program := filepath.Join(client, "zktest-mt")
	if _, err := os.Stat(program); err != nil {
		buildCClient(t, tree, client)
	}
	fixtures := cTests(t, client, program)
	var tests []string
	for _, f := range fixtures {
		tests = append(tests, f.tests...)
	}
	compare(t, suite{run: func(b *box, names ...string) Results {
		b.set("ZKROOT", tree)
		b.set("ZOO_LOG_DIR", filepath.Join(b.dir, "tmp"))
		r := make(Results)
		run := func(name string) {
			got, died := ParseCppUnit(b.run(10*time.Minute, client, program, name), tests)
			for test, status := range got {
				r[test] = status
			}
			if died != "" {
				t.Logf("%v: the program died in %s", b.kind, died)
			}
		}
		for _, name := range names {
			run(name)
		}
		if len(names) > 0 {
			return r
		}
		run("all")
		// A test that brings the program down takes the rest with it.
		for _, f := range fixtures {
			missing := func(test string) bool { return r[test] == "" }
			if slices.ContainsFunc(f.tests, missing) && !slices.ContainsFunc(f.tests, func(test string) bool { return !missing(test) }) {
				run(f.name)
			}
			for _, test := range f.tests {
				if missing(test) {
					run(test)
				}
			}
		}
		return r
	}})
}

func buildCClient(t *testing.T, tree, client string) {
	t.Helper()
	generated := filepath.Join(client, "generated")
	must(t, os.MkdirAll(generated, 0o755))
	do(t, generated, "java", "-cp", "/usr/share/java/zookeeper-jute.jar", "org.apache.jute.compiler.generated.Rcc", "-l", "c",
		filepath.Join(tree, "zookeeper-jute", "src", "main", "resources", "zookeeper.jute"))
	do(t, client, "autoreconf", "-if")
	do(t, client, "./configure", "CPPFLAGS=-include "+filepath.Join(root(t), "test", "suites", "testdata", "newer.h"),
		"CFLAGS=-g -O1 -D_GNU_SOURCE -Wno-error", "CXXFLAGS=-g -O1")
	do(t, client, "make", "-j2", "zktest-mt")
}

type fixture struct {
	name  string
	tests []string // with the name of the fixture
}

var (
	cFixture = regexp.MustCompile(`(?m)^ *CPPUNIT_TEST_SUITE\((\w+)\)`)
	cTest    = regexp.MustCompile(`(?m)^ *CPPUNIT_TEST\((\w+)\)`)
)

// cTests lists the tests of the program: those of its sources that were compiled into it.
func cTests(t *testing.T, client, program string) []fixture {
	t.Helper()
	symbols := do(t, client, "nm", "--demangle", program)
	files, err := filepath.Glob(filepath.Join(client, "tests", "Test*.cc"))
	must(t, err)
	var all []fixture
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		name := cFixture.FindSubmatch(text)
		if name == nil {
			continue
		}
		f := fixture{name: string(name[1])}
		for _, test := range cTest.FindAllSubmatch(text, -1) {
			if full := f.name + "::" + string(test[1]); strings.Contains(symbols, " "+full+"()\n") {
				f.tests = append(f.tests, full)
			}
		}
		if len(f.tests) > 0 {
			all = append(all, f)
		}
	}
	return all
}
