//go:build suites

package suites

import (
	"os"
	"path/filepath"
	"testing"
)

// sources is the source tree of Apache ZooKeeper 3.8.0, from Debian's source package.
func sources(t *testing.T) string {
	t.Helper()
	need(t, "apt-get", "apt")
	need(t, "dpkg-source", "dpkg-dev")
	dir := cache(t, "zookeeper")
	tree := filepath.Join(dir, "tree")
	once(t, dir, func() {
		do(t, dir, filepath.Join(root(t), "test", "suites", "testdata", "source.sh"), "zookeeper", dir)
		packages, err := filepath.Glob(filepath.Join(dir, "zookeeper_3.8.0-*.dsc"))
		must(t, err)
		if len(packages) != 1 {
			t.Skipf("the source package of zookeeper is not one of 3.8.0: %s", do(t, dir, "ls"))
		}
		do(t, dir, "dpkg-source", "-x", packages[0], tree)
	})
	if _, err := os.Stat(tree); err != nil {
		t.Fatal(err)
	}
	return tree
}
