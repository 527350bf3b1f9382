package provision

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// newToken names a lock: where its holder's process is, as far as this system tells, and something random.
func newToken() string {
	return fmt.Sprintf("%s.%d.%s", habitat(), os.Getpid(), strings.ToLower(rand.Text()))
}

// habitat is where process ids mean what they mean here: until the machine boots again, in this namespace. "" if unknown.
func habitat() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "-" + strings.Trim(strings.TrimPrefix(namespace, "pid:"), "[]")
}

// holderIsGone reports whether it is certain that the process that made a token has ended.
func holderIsGone(token string) bool {
	words := strings.Split(token, ".")
	if len(words) != 3 || words[0] == "" || words[0] != habitat() {
		return false
	}
	pid, err := strconv.Atoi(words[1])
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
