//go:build suites

package suites

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestGoZookeeper runs the tests of github.com/go-zookeeper/zk.
//
// They wait for servers by reading the date of the build in the answer to srvr, in the form that it had until 3.6. Both
// servers get that form, by changing it in their binaries: with a server of 3.7 or later, none of the integration tests
// would get as far as its first request.
func TestGoZookeeper(t *testing.T) {
	bin := filepath.Join(sources(t), "bin")
	tests := filepath.Join(cache(t, "gozk"), "zk.test")
	do(t, root(t), "go", "test", "-c", "-o", tests, "github.com/go-zookeeper/zk")
	compare(t, suite{run: func(b *box, names ...string) Results {
		b.set("ZOOKEEPER_BIN_PATH", bin)
		b.set("ZK_VERSION", "3.8.0") // without it, tests that need 3.5 are skipped
		oldDate(b)
		args := []string{"-test.v", "-test.timeout", "600s"}
		if len(names) > 0 {
			args = append(args, "-test.run", "^("+strings.Join(names, "|")+")$")
		}
		return ParseGo(b.run(11*time.Minute, b.dir, tests, args...))
	}})
}

// oldDate puts a server with the date in its old form into a box.
func oldDate(b *box) {
	b.t.Helper()
	if b.kind == ensemble.Apache {
		jar := filepath.Join(b.dir, "zookeeper.jar")
		changeJar(b.t, "/usr/share/java/zookeeper.jar", jar, "org/apache/zookeeper/Version.class", func(class []byte) []byte {
			class = bytes.ReplaceAll(class, []byte("${mvngit.commit.id}"), []byte(strings.Repeat("0", 19))) // what Debian's build leaves
			return regexp.MustCompile(`(\d{4})-(\d\d)-(\d\d) (\d\d:\d\d UTC)`).ReplaceAll(class, []byte("$2/$3/$1 $4"))
		})
		b.set("CLASSPATH", jar+":"+classPath)
		return
	}
	binary, err := ensemble.ServerBinary()
	must(b.t, err)
	content, err := os.ReadFile(binary)
	must(b.t, err)
	layout := []byte("2006-01-02 15:04 MST")
	if !bytes.Contains(content, layout) {
		b.t.Fatalf("%s has no date in the form of 3.8", binary)
	}
	changed := filepath.Join(b.dir, "zkserver")
	must(b.t, os.WriteFile(changed, bytes.ReplaceAll(content, layout, []byte("01/02/2006 15:04 MST")), 0o755))
	b.set("ZKSERVER", changed)
}

// changeJar copies a jar with one file in it changed.
func changeJar(t *testing.T, from, to, name string, change func([]byte) []byte) {
	t.Helper()
	in, err := zip.OpenReader(from)
	must(t, err)
	defer in.Close()
	f, err := os.Create(to)
	must(t, err)
	defer f.Close()
	out := zip.NewWriter(f)
	for _, file := range in.File {
		if file.Name != name {
			must(t, out.Copy(file))
			continue
		}
		r, err := file.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		w, err := out.Create(name)
		must(t, err)
		_, err = w.Write(change(content))
		must(t, err)
	}
	must(t, out.Close())
}
