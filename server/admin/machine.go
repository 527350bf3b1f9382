package admin

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// protocolVersion is the release of Apache ZooKeeper whose protocols and formats this server speaks. It comes first in
// every answer that names a version, because monitoring decides by it which answers to expect; our own follows.
const protocolVersion = "3.8.0"

var built = sync.OnceValue(builtAt)

// builtAt is the time of the source in this program, or of the program's file.
func builtAt() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key != "vcs.time" {
				continue
			}
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return at
			}
		}
	}
	if program, err := os.Executable(); err == nil {
		if info, err := os.Stat(program); err == nil {
			return info.ModTime()
		}
	}
	return time.Unix(0, 0)
}

func versionLine(src Source) string {
	return fmt.Sprintf("%s-zkserver-%s, built on %s", protocolVersion, src.Version(), built().UTC().Format("2006-01-02 15:04 MST"))
}

// variable is one line of envi.
type variable struct{ name, value string }

// environment describes process and machine, with the names that Apache ZooKeeper gives what describes its Java, and
// go.version.
func environment(src Source) []variable {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	var name, home string
	if u, err := user.Current(); err == nil {
		name, home = u.Username, u.HomeDir
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	all := []variable{
		{"zookeeper.version", versionLine(src)},
		{"host.name", host},
		{"java.version", ""}, {"java.vendor", ""}, {"java.home", ""}, {"java.class.path", ""}, {"java.library.path", ""},
		{"java.io.tmpdir", os.TempDir()},
		{"java.compiler", ""},
		{"os.name", osName()},
		{"os.arch", runtime.GOARCH},
		{"os.version", kernelVersion()},
		{"user.name", name},
		{"user.home", home},
		{"user.dir", dir},
		{"os.memory.free", megabytes(mem.HeapIdle - mem.HeapReleased)},
		{"os.memory.max", megabytes(memoryLimitBytes())},
		{"os.memory.total", megabytes(mem.Sys)},
		{"go.version", runtime.Version()},
	}
	for i := range all {
		if all[i].value == "" {
			all[i].value = "<NA>"
		}
	}
	return all
}

func envi(src Source) string {
	var b strings.Builder
	b.WriteString("Environment:\n")
	for _, v := range environment(src) {
		fmt.Fprintf(&b, "%s=%s\n", v.name, v.value)
	}
	return b.String()
}

func osName() string { return strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:] }

func megabytes(n uint64) string { return strconv.FormatUint(n>>20, 10) + "MB" }

// kernelVersion is empty where there is no Linux.
func kernelVersion() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

// machineMemoryBytes is 0 where there is no Linux.
func machineMemoryBytes() uint64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// memoryLimitBytes is the bound of this process, or the memory of the machine.
func memoryLimitBytes() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return uint64(limit)
	}
	return machineMemoryBytes()
}

// threads are those of this process, 0 if they cannot be counted.
func threads() int {
	entries, _ := os.ReadDir("/proc/self/task")
	return len(entries)
}

// openFiles is -1 where it cannot be told.
func openFiles() int64 {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return int64(len(entries)) - 1 // less the directory itself
}

// maxOpenFiles is -1 where it cannot be told.
func maxOpenFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return -1
	}
	return int64(limit.Cur)
}

// dirBytes is the length of all files below a directory; what goes away meanwhile does not count.
func dirBytes(dir string) int64 {
	var total int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
