package remote

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A script of any length is read to its last byte and none beyond, with a dd that fills its blocks and with one that cannot.
func TestLoaderTakesTheScriptAlone(t *testing.T) {
	plain, err := exec.LookPath("dd")
	if err != nil {
		t.Skip(err)
	}
	old := t.TempDir()
	stub := "#!/bin/sh\ncase $* in *iflag*) exit 1 ;; esac\nexec " + plain + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(old, "dd"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	payload := []byte("\x00and what follows\n\n")
	for _, path := range []string{os.Getenv("PATH"), old + ":" + os.Getenv("PATH")} {
		for _, length := range []int{0, 2 << 10, 2<<10 + 1, 70_000} {
			script := "printf %s " + strings.Repeat("x", length) + "; cat"
			cmd := exec.Command("/bin/sh", "-c", loader)
			cmd.Env = []string{"PATH=" + path}
			// In pieces, as a network delivers them.
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer in.Close()
				for all := append(pack(script), payload...); len(all) > 0; {
					n := min(len(all), 777)
					in.Write(all[:n])
					all = all[n:]
				}
			}()
			got, err := cmd.Output()
			want := append(bytes.Repeat([]byte("x"), length), payload...)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("a script of %d bytes: %d bytes came, want %d: %v", length, len(got), len(want), err)
			}
		}
	}
}
