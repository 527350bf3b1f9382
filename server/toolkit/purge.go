package toolkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/vfs"
)

const purgeUsage = `Usage:
PurgeTxnLog dataLogDir [snapDir] -n count
	dataLogDir -- path to the txn log directory
	snapDir -- path to the snapshot directory
	count -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3
`

// purgeTxnLog is org.apache.zookeeper.server.PurgeTxnLog. It may run while a server uses the directories.
func purgeTxnLog(args []string, o IO) int {
	usage := func(why string) int {
		if why != "" {
			fmt.Fprintln(o.Err, why)
		}
		fmt.Fprint(o.Out, purgeUsage)
		return exitFailed
	}
	if len(args) != 3 && len(args) != 4 {
		return usage("")
	}
	dirs, flag, count := args[:len(args)-2], args[len(args)-2], args[len(args)-1]
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			return usage(fmt.Sprintf("Path '%s' does not exist. ", absolute(dir)))
		}
	}
	n, err := strconv.ParseInt(count, 10, 32)
	switch {
	case err != nil:
		return usage(fmt.Sprintf("'%s' can not be parsed to integer.", count))
	case n < 3:
		return usage("count should be greater than or equal to 3")
	case flag != "-n":
		return usage("")
	}
	logDir, snapDir := filepath.Join(dirs[0], "version-2"), filepath.Join(dirs[len(dirs)-1], "version-2")
	return o.end(store.PurgeFiles(vfs.OS, logDir, snapDir, int(n), func(name string) {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(o.Out, "Removing file: %s\t%s\n", mediumDateTime(info.ModTime()), name)
		}
	}))
}
