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
func ServerBinary() (string, error) { return serverBinary() }

// ClientBinary is the same for zkcli.
func ClientBinary() (string, error) { return clientBinary() }

var (
	serverBinary = sync.OnceValues(func() (string, error) { return build("zkserver") })
	clientBinary = sync.OnceValues(func() (string, error) { return build("zkcli") })
)

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

func build(name string) (string, error) {
	if path := os.Getenv(strings.ToUpper(name)); path != "" {
		return filepath.Abs(path)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", "bin/"+name, "./cmd/"+name)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return filepath.Join(root, "bin", name), nil
}

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
