package ensemble

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckFiles(t *testing.T) {
	const text = "server.1=127.0.0.1:1:2:participant;127.0.0.1:3\nversion=100000000"
	for name, c := range map[string]struct {
		spoil func(dir string) error
		good  bool
	}{
		"as they should be": {func(string) error { return nil }, true},
		"another membership": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "zoo.cfg.dynamic.100000000"), []byte("server.2=127.0.0.1:1:2"), 0o644)
		}, false},
		"proposed": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "zoo.cfg.dynamic.next"), nil, 0o644) }, false},
		"not named": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte("tickTime=1\n"), 0o644)
		}, false},
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "zoo.cfg.dynamic.100000000")) }, false},
	} {
		dir := t.TempDir()
		m := &Member{ID: 1, Dir: dir}
		dynamic := filepath.Join(dir, "zoo.cfg.dynamic.100000000")
		for file, content := range map[string]string{
			filepath.Join(dir, "zoo.cfg"): "tickTime=1\ndynamicConfigFile=" + dynamic + "\n",
			dynamic:                       "server.1=127.0.0.1:1:2:participant;127.0.0.1:3",
		} {
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		if err := m.CheckFiles(text); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
