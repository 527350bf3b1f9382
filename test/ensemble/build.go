package ensemble

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// ServerBinary returns the path of the zkserver to run: the environment variable ZKSERVER, else bin/zkserver, built from
// this tree the first time a program asks.
func ServerBinary() (string, error) {
	return buildServer()
}

// CtlBinary is the same for zkctl: ZKCTL, else bin/zkctl, which `make build` has left (it embeds the server bundle).
func CtlBinary() (string, error) {
	if path := os.Getenv("ZKCTL"); path != "" {
		return filepath.Abs(path)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "zkctl")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no zkctl: run make build first: %w", err)
	}
	return path, nil
}

var buildServer = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ZKSERVER"); path != "" {
		return filepath.Abs(path)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", "bin/zkserver", "./cmd/zkserver")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build zkserver: %w\n%s", err, out)
	}
	return filepath.Join(root, "bin", "zkserver"), nil
})

// Root is the top directory of the source tree that holds the working directory.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	module := strings.TrimSpace(string(out))
	if module == "" || module == os.DevNull {
		return "", fmt.Errorf("find the source tree: the working directory is in no module")
	}
	return filepath.Dir(module), nil
}
