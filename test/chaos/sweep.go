package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Sweep removes the names and files that runs that were killed have left. Their namespaces, file systems and devices went
// with them.
func Sweep() error {
	namespaces, err := filepath.Glob("/run/netns/zkchaos-*-*")
	if err != nil {
		return err
	}
	for _, path := range namespaces {
		if name := filepath.Base(path); dead(strings.Split(name, "-")[1]) {
			if err := run("ip", "netns", "del", name); err != nil {
				return err
			}
		}
	}
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), runPrefix+"*"))
	for _, dir := range dirs {
		if dead(strings.Split(filepath.Base(dir), "-")[2]) {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// runPrefix begins the name of a run's directory; the id of its process follows.
const runPrefix = "zk-chaos-"

// dead tells whether there is no process of this id.
func dead(pid string) bool {
	if _, err := strconv.Atoi(pid); err != nil {
		return false
	}
	_, err := os.Stat("/proc/" + pid)
	return os.IsNotExist(err)
}
