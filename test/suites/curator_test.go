//go:build suites

package suites

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCurator runs the tests of Apache Curator's client, framework and recipes. They start servers inside of their own
// process; a stand-in for the class that does it starts processes.
func TestCurator(t *testing.T) {
	need(t, "mvn", "maven")
	need(t, "javac", "default-jdk-headless")
	dir := cache(t, "curator")
	standIn := filepath.Join(root(t), "test", "suites", "standin", "curator", "ZooKeeperServerEmbeddedAdapter.java")
	once(t, dir, func() {
		pom := filepath.Join(root(t), "test", "suites", "testdata", "curator", "pom.xml")
		do(t, dir, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	do(t, dir, "javac", "-nowarn", "-cp", "lib/*", "-d", "classes", standIn)
	for _, part := range []string{"client", "framework", "recipes"} {
		t.Run(part, func(t *testing.T) { curator(t, dir, part) })
	}
}

// curator runs the tests of one part, each of which takes its time: the recipes more than an hour.
func curator(t *testing.T, dir, part string) {
	java := realJava(t)
	compare(t, suite{run: func(b *box, names ...string) Results {
		b.set("SERVER_CLASSPATH", classPath)
		reports := filepath.Join(b.dir, "reports")
		must(t, os.RemoveAll(reports))
		args := []string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", "classes:lib/*", "org.junit.platform.console.ConsoleLauncher",
			"--config", "junit.jupiter.execution.timeout.default=180s", "--reports-dir", reports, "--details=summary", "--disable-banner"}
		for _, name := range names {
			at := strings.LastIndexByte(name, '.')
			args = append(args, "--select-method", name[:at]+"#"+strings.TrimSuffix(name[at+1:], "()"))
		}
		if len(names) == 0 {
			jars, err := filepath.Glob(filepath.Join(dir, "lib", "curator-"+part+"-*-tests.jar"))
			must(t, err)
			args = append(args, "--scan-classpath="+strings.Join(jars, ":"))
		}
		b.run(90*time.Minute, dir, java, args...)
		return b.junit(filepath.Join(reports, "TEST-junit-jupiter.xml"))
	}})
}
