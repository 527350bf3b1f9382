package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func init() {
	commands = append(commands,
		command{names: []string{"restore", "rest"}, guarded: true, posts: true, run: restoreCommand},
		command{names: []string{"shed_connections", "shed"}, guarded: true, posts: true, run: shedConnectionsCommand},
		command{names: []string{"snapshot", "snap"}, guarded: true, run: snapshotCommand},
	)
}

// maxShedBytes is the longest body of shed_connections.
const maxShedBytes = 4 << 10

// snapshotCommand takes a snapshot and sends its file.
func snapshotCommand(c *call) {
	cfg, m := c.src.Config(), c.src.Metrics()
	switch {
	case !cfg.Admin.Snapshot:
		c.status = http.StatusServiceUnavailable
		return
	case !cfg.Storage.LastZxidInSnapshots:
		c.status = http.StatusInternalServerError
		return
	case !c.limits.snapshot.allow():
		c.status = http.StatusTooManyRequests
		m.SnapshotRateLimitedCount.Add(1)
		return
	}
	fail := func(err error) {
		c.log.Warn("snapshot command", "error", err)
		c.status = http.StatusInternalServerError
		m.SnapshotErrorCount.Add(1)
	}
	name, zxid, err := c.src.TakeSnapshot(c.ctx)
	if err != nil {
		fail(err)
		return
	}
	file, err := os.Open(name)
	if err != nil {
		fail(err)
		return
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		fail(err)
		return
	}
	size := strconv.FormatInt(info.Size(), 10)
	c.header["last_zxid"] = zxid.String()
	c.header["snapshot_size"] = size
	if streaming, given := c.args["streaming"]; given && !strings.EqualFold(streaming[0], "true") {
		file.Close()
		return
	}
	c.header["Content-Length"] = size
	c.stream = file
}

// restoreCommand puts the snapshot of the body in the place of the state.
func restoreCommand(c *call) {
	cfg, m := c.src.Config(), c.src.Metrics()
	switch {
	case !cfg.Admin.Restore:
		c.status = http.StatusServiceUnavailable
		return
	case !cfg.Storage.LastZxidInSnapshots:
		c.status = http.StatusInternalServerError
		return
	case c.body == nil:
		c.status = http.StatusBadRequest
		return
	case !c.limits.restore.allow():
		c.status = http.StatusTooManyRequests
		m.RestoreRateLimitedCount.Add(1)
		return
	}
	zxid, err := c.src.Restore(c.ctx, c.body)
	if err != nil {
		c.log.Warn("restore command", "error", err)
		c.status = http.StatusInternalServerError
		m.RestoreErrorCount.Add(1)
		return
	}
	c.set("last_zxid", int64(zxid))
}

// shedConnectionsCommand closes about so many of a hundred client connections (since Apache ZooKeeper 3.10).
func shedConnectionsCommand(c *call) {
	refuse := func(why string) {
		c.status = http.StatusBadRequest
		c.set("error", why)
	}
	if c.body == nil {
		refuse("Request body is required")
		return
	}
	var request struct {
		Percentage *json.Number `json:"percentage"`
	}
	if err := json.NewDecoder(io.LimitReader(c.body, maxShedBytes)).Decode(&request); err != nil {
		refuse("Invalid JSON or failed to read request body: " + err.Error())
		return
	}
	if request.Percentage == nil {
		refuse("Missing required field: percentage")
		return
	}
	percentage, err := request.Percentage.Int64()
	if err != nil || percentage < 0 || percentage > 100 {
		refuse("Percentage must be between 0 and 100")
		return
	}
	shed := c.src.Shed(int(percentage))
	c.log.Info("connections shed", "connections", shed, "percentage", percentage)
	c.set("connections_shed", shed)
	c.set("percentage_requested", percentage)
}

// limits are what the guarded commands have left.
type limits struct{ snapshot, restore limiter }

// newLimits allows each command once in the interval. That of snapshots is a thousandth of it, as in Apache ZooKeeper,
// which takes milliseconds for microseconds there.
func newLimits(interval time.Duration) *limits {
	now := time.Now()
	return &limits{limiter{interval: interval / 1000, since: now, left: 1}, limiter{interval: interval, since: now, left: 1}}
}

// limiter allows something once in an interval; the intervals follow each other from the start on
// (org.apache.zookeeper.server.util.RateLimiter).
type limiter struct {
	interval time.Duration

	mu    sync.Mutex
	since time.Time
	left  int
}

func (l *limiter) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.since) > l.interval {
		l.since, l.left = now, 1
	}
	if l.interval > 0 {
		l.left--
	}
	return l.left >= 0
}
