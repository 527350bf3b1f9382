//go:build suites

package suites

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kazooVersion is the release whose tests run; what they need stands in testdata/kazoo.txt.
const kazooVersion = "2.11.0"

// TestKazoo runs the tests of kazoo, Python's client.
func TestKazoo(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's
	need(t, python, "python3")
	need(t, "/usr/share/doc/python3-venv", "python3-venv")
	dir := cache(t, "kazoo-"+kazooVersion)
	tree := filepath.Join(dir, "kazoo-"+kazooVersion)
	interpreter := filepath.Join(dir, "venv", "bin", "python")
	once(t, dir, func() {
		do(t, dir, python, "-m", "venv", "venv")
		pip := func(args ...string) { do(t, dir, interpreter, append([]string{"-m", "pip", "-q"}, args...)...) }
		pip("install", "-r", filepath.Join(root(t), "test", "suites", "testdata", "kazoo.txt"))
		pip("download", "--no-deps", "--no-binary", "kazoo", "kazoo=="+kazooVersion)
		do(t, dir, "tar", "-xf", tree+".tar.gz")
	})
	compare(t, suite{run: func(b *box, names ...string) Results {
		b.set("ZOOKEEPER_CLASSPATH", classPath)
		b.set("ZOOKEEPER_VERSION", "3.8.0")
		report := filepath.Join(b.dir, "report.xml")
		os.Remove(report)
		args := []string{"-m", "pytest", "-p", "no:cacheprovider", "--junitxml", report}
		for _, name := range names {
			at := strings.LastIndexByte(name, '.')
			class, test := name[:at], name[at+1:]
			at = strings.LastIndexByte(class, '.')
			file := strings.ReplaceAll(class[:at], ".", "/") + ".py"
			args = append(args, file+"::"+class[at+1:]+"::"+test)
		}
		if len(names) == 0 {
			args = append(args, "kazoo/tests")
		}
		b.run(40*time.Minute, tree, interpreter, args...)
		return b.junit(report)
	}})
}
