package admin

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

func init() {
	built = func() time.Time { return time.Date(2026, 2, 11, 20, 15, 0, 0, time.UTC) }
}

// fixed is a server at which nothing moves.
type fixed struct {
	cfg        *config.Config
	status     node.Status
	watches    *watch.Manager
	traffic    Traffic
	conns      []Connection
	metrics    *metrics.Metrics
	proposed   Sizes
	learners   []Learner
	quotas     map[string]tree.NamespaceQuota
	resetStats int
	resetConns int
	resetObs   int
	mask       int64
	expiries   Expiries
	digests    []tree.ZxidDigest

	// access is what whoever asks has; asked are the last credentials.
	access Access
	asked  Credentials
	// snapshot is the file of the next snapshot, restored what was restored; failure fails both.
	snapshot string
	restored string
	failure  error
	shed     int
}

var started = time.Date(2026, 2, 11, 20, 0, 0, 0, time.UTC)

func (f *fixed) Config() *config.Config     { return f.cfg }
func (f *fixed) Version() string            { return "1.2.3" }
func (f *fixed) Started() time.Time         { return started }
func (f *fixed) Mono() time.Duration        { return 90 * time.Second }
func (f *fixed) Status() node.Status        { return f.status }
func (f *fixed) Watches() *watch.Manager    { return f.watches }
func (f *fixed) Traffic() Traffic           { return f.traffic }
func (f *fixed) ResetTraffic()              { f.resetStats++ }
func (f *fixed) Connections() []Connection  { return slices.Clone(f.conns) }
func (f *fixed) ResetConnections()          { f.resetConns++ }
func (f *fixed) Metrics() *metrics.Metrics  { return f.metrics }
func (f *fixed) Proposed() Sizes            { return f.proposed }
func (f *fixed) Members() *quorum.Config    { return &f.cfg.Members }
func (f *fixed) Learners() []Learner        { return f.learners }
func (f *fixed) ResetObservers()            { f.resetObs++ }
func (f *fixed) TraceMask() int64           { return f.mask }
func (f *fixed) SetTraceMask(mask int64)    { f.mask = mask }
func (f *fixed) Digests() []tree.ZxidDigest { return f.digests }
func (f *fixed) Expiries() Expiries         { return f.expiries }

func (f *fixed) LastSnapshot() (wire.Zxid, time.Time, bool) {
	return 0x100000003, started, f.status.Role != node.Observing
}

func (f *fixed) Authorize(c Credentials) Access {
	f.asked = c
	return f.access
}

func (f *fixed) TakeSnapshot(context.Context) (string, wire.Zxid, error) {
	return f.snapshot, 0x100000016, f.failure
}

func (f *fixed) Restore(_ context.Context, from io.Reader) (wire.Zxid, error) {
	b, err := io.ReadAll(from)
	f.restored = string(b)
	return 0x100000017, cmp.Or(f.failure, err)
}

func (f *fixed) Shed(percent int) int {
	f.shed = percent
	return 3
}

func (f *fixed) Quotas() map[string]tree.NamespaceQuota { return f.quotas }

func (f *fixed) Sessions() []tree.Session {
	return []tree.Session{{ID: 0x1000001, TimeoutMillis: 8000}, {ID: 0x300000100f930000, TimeoutMillis: 30000}, {ID: -0x100000000000000, TimeoutMillis: 4000}}
}

func (f *fixed) Ephemerals() map[wire.SessionID][]string {
	return map[wire.SessionID][]string{-0x100000000000000: {"/a/e2"}, 0x1000001: {"/a/e1", "/b"}, 0x300000100f930000: {"/c"}}
}

const ensembleCfg = `
dataDir=$DIR
clientPort=2181
tickTime=2000
initLimit=10
syncLimit=5
4lw.commands.whitelist=*
server.1=10.0.0.1:2888:3888
server.2=10.0.0.2:2888:3888;2181
server.3=10.0.0.3:2889:3889
server.4=10.0.0.4:2888:3888:observer
`

// newFixed returns a server in a role, with files of 1,000 and 2,000 bytes.
func newFixed(t testing.TB, role node.Role) *fixed {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("version-2/log.1", strings.Repeat("l", 1000))
	write("version-2/snapshot.0", strings.Repeat("s", 2000))
	text := ensembleCfg
	if role == node.Standalone {
		text = "dataDir=$DIR\nclientPort=2181\n4lw.commands.whitelist=*\n"
	}
	id := map[node.Role]int{node.Leading: 3, node.Following: 1, node.Observing: 4, node.Looking: 2}[role]
	write("myid", fmt.Sprint(id))
	write("zoo.cfg", strings.ReplaceAll(text, "$DIR", dir))
	cfg, err := config.Load(filepath.Join(dir, "zoo.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixed{
		cfg: cfg, watches: watch.New(),
		status: node.Status{
			Self: wire.ServerID(id), Role: role, Serving: role != node.Looking, TakesClients: role != node.Looking, Leader: 3, LearnerMaster: 3, Zxid: 0x100000016,
			ServingSince: 30 * time.Second, Outstanding: 2, Sessions: 3, Nodes: 9, Ephemerals: 4, DataBytes: 258,
			Watches: 4, DigestMismatches: 0,
		},
		traffic: Traffic{
			Received: 14, Sent: 12, Open: 2, Latency: Summary{11, 17 * time.Millisecond, 400 * time.Microsecond, 4 * time.Millisecond},
			Responses: Sizes{Count: 12, Last: 16, Min: 16, Max: 98}, AuthFailed: 1, PlainLocal: 3, PlainRemote: 2,
		},
		conns: []Connection{
			{
				ID: 7, Remote: "10.0.0.9:60702", Session: 0x300000100f930000, Timeout: 30 * time.Second, Queued: 1,
				Received: 11, Sent: 12, Established: started.Add(20 * time.Second), LastOp: wire.OpPing, LastXid: -2,
				LastZxid: 0x100000016, LastResponse: started.Add(80 * time.Second), LastLatency: time.Millisecond,
				Latency: Summary{11, 17 * time.Millisecond, 400 * time.Microsecond, 4 * time.Millisecond},
			},
			{
				ID: 8, Remote: "[fd00::9]:60703", Session: 0x1000001, Timeout: 8 * time.Second,
				Received: 2, Sent: 2, Established: started.Add(21 * time.Second), LastOp: wire.OpCreateTTL, LastXid: 0x1f,
				LastZxid: -1, LastResponse: started.Add(81 * time.Second),
			},
			{ID: 9, Remote: "127.0.0.1:47998", Received: 1, Established: started.Add(89 * time.Second), LastXid: -1, LastZxid: -1, Word: true},
		},
		metrics: measured(), mask: 306,
		digests: []tree.ZxidDigest{{Zxid: 0x100000000, Digest: 149316312337}, {Zxid: 0x100000080, Digest: 1<<64 - 5}},
		quotas:  map[string]tree.NamespaceQuota{"app": {CountLimit: 10, BytesLimit: -1, CountUsage: 3, BytesUsage: 40}},
	}
	for _, size := range []int{94, 40, 36, 44} {
		f.proposed.Add(size)
	}
	f.watches.Add("/b", 7, watch.Data)
	f.watches.Add("/a", 7, watch.Data|watch.Child)
	f.watches.Add("/a", 8, watch.Persistent)
	if role == node.Leading || role == node.Standalone {
		f.expiries = Expiries{Decides: true, Global: []session.Due{
			{At: 96 * time.Second, IDs: []wire.SessionID{-0x100000000000000, 0x1000001}},
			{At: 120 * time.Second, IDs: []wire.SessionID{0x300000100f930000}},
		}}
	}
	if role == node.Leading {
		f.learners = []Learner{
			{ID: 1, Remote: "10.0.0.1:4000"}, {ID: 4, Observer: true, Remote: "10.0.0.4:4001", Established: started, Sent: 5, LastZxid: 7},
		}
		f.status.Learners = []zab.LearnerStatus{
			{ID: 1, Synced: true}, {ID: 2, Synced: true}, {ID: 4, Observer: true, Synced: true}, {ID: 9, Synced: true},
		}
		f.status.SyncedFollowers, f.status.SyncedObservers, f.status.PendingSyncs = 3, 1, 1
	}
	return f
}

// measured are metrics that have seen a few things.
func measured() *metrics.Metrics {
	m := metrics.New()
	for _, micros := range []int{200, 1000, 3000} {
		m.FsyncTime.Took(time.Duration(micros) * time.Microsecond)
		m.UpdateLatency.Took(time.Duration(micros) * 2 * time.Microsecond)
	}
	m.ReadLatency.Took(0)
	m.SnapshotTime.Took(30 * time.Millisecond)
	m.ElectionTime.Took(250 * time.Millisecond)
	m.LookingCount.Add(2)
	m.ProposalCount.Add(22)
	m.DiffCount.Add(2)
	m.BytesReceivedCount.Add(346)
	m.ConnectionRejected.Add(1)
	m.SyncProcessorBatchSize.Add(2)
	m.AckLatency.Summary("2").Took(4 * time.Millisecond)
	m.ReadPerNamespace.Add("app", 100)
	m.QuotaExceededErrorPerNamespace.Add("app", 2)
	return m
}

var varies = regexp.MustCompile(`(?m)^(zk_(?:open|max)_file_descriptor_count)\t\d+$`)

// nothing are the lines of mntr that would only make the archives long.
var nothing = regexp.MustCompile(`(?m)^zk_\w+\t0(\.0)?\n`)

// ask sends a word without an argument, or with a mask of 7.
func ask(src Source, word string) string {
	argument := ""
	if n, _ := ArgumentBytes(word); n > 0 {
		argument = strings.Repeat("\x00", n-1) + "\x07"
	}
	return Answer(src, word, argument)
}

// Each archive in testdata has what a server in one role answers to the words.
func TestGolden(t *testing.T) {
	roles := map[string]node.Role{
		"standalone": node.Standalone, "leader": node.Leading, "follower": node.Following, "observer": node.Observing,
		"looking": node.Looking,
	}
	for name, role := range roles {
		src := newFixed(t, role)
		var archive txtar.Archive
		for _, word := range slices.Sorted(maps.Keys(words)) {
			if word == "envi" || word == telnetClose {
				continue
			}
			answer := ask(src, word)
			answer = strings.ReplaceAll(answer, src.cfg.DataDir, "$DIR")
			answer = varies.ReplaceAllString(answer, "$1\tN")
			answer = nothing.ReplaceAllString(answer, "")
			archive.Files = append(archive.Files, txtar.File{Name: word, Data: []byte(answer)})
		}
		file := filepath.Join("testdata", name+".txtar")
		got := txtar.Format(&archive)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// Answers end as Apache ZooKeeper's do, which the archives cannot show.
func TestEnds(t *testing.T) {
	src := newFixed(t, node.Following)
	for word, end := range map[string]string{
		"ruok": "imok", "isro": "rw", "conf": "\nversion=0", "srvr": "Node count: 10\n", "cons": ")\n\n", "wchs": ":3\n",
		"gtmk": "306", "stmk": "7", "hash": "080: -5\n", telnetClose: "",
		"wchc": "/b\n\n", "wchp": "0000\n\n", "dirs": "3000\n", "crst": "reset.\n",
	} {
		src.mask = 306
		if answer := ask(src, word); !strings.HasSuffix(answer, end) {
			t.Errorf("%s ends with %q, want %q", word, answer[max(0, len(answer)-20):], end)
		}
	}
}

var (
	numbers = regexp.MustCompile(`-?0x[0-9a-f]+|-?\d+(\.\d+)?`)
	release = regexp.MustCompile(`3\.8\.0-[^,\s]+`)
	built38 = regexp.MustCompile(`built on .*`)
	remote  = regexp.MustCompile(`/(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+`)
	date    = regexp.MustCompile(`expire at .*:$`)
	lastOp  = regexp.MustCompile(`lop=[A-Z]+`)
)

// shape is a line without what differs from one server to the next.
func shape(line string) string {
	line = release.ReplaceAllString(line, "V")
	line = built38.ReplaceAllString(line, "built on D")
	line = remote.ReplaceAllString(line, "/A")
	line = date.ReplaceAllString(line, "expire at D:")
	line = lastOp.ReplaceAllString(line, "lop=L")
	return numbers.ReplaceAllString(line, "N")
}

// Every line that Apache ZooKeeper answers has a line of the same shape here, in the same order; lines of a list may be
// fewer or more.
func TestShapeOfApache(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/apache-3.8.0.txtar")
	if err != nil {
		t.Fatal(err)
	}
	lines := func(text string) []string {
		var all []string
		for line := range strings.Lines(strings.TrimRight(text, "\n")) {
			line = strings.TrimSuffix(line, "\n")
			line = strings.Replace(line, "/var/lib/zookeeper", "$DIR", 1)
			switch {
			case strings.HasPrefix(line, "\t/"):
				line = "\t/path"
			case strings.HasPrefix(line, "/"):
				line = "/path"
			case strings.HasPrefix(line, "server."):
				line = "server.N=A"
			default:
				line = shape(line)
			}
			if len(all) == 0 || all[len(all)-1] != line {
				all = append(all, line)
			}
		}
		return all
	}
	compared := 0
	for _, f := range archive.Files {
		role, word, _ := strings.Cut(f.Name, "/")
		if word == "mntr" {
			continue
		}
		src := newFixed(t, map[string]node.Role{"leader": node.Leading, "follower": node.Following, "observer": node.Observing}[role])
		switch word {
		case "wchc", "wchp", "wchs":
			src.watches.Remove("/a", 8, watch.All)
		case "stat":
			src.conns = src.conns[1:]
		case "cons":
			src.conns = []Connection{src.conns[2], src.conns[1]}
		}
		answer := ask(src, word)
		got, want := lines(strings.ReplaceAll(answer, src.cfg.DataDir, "$DIR")), lines(string(f.Data))
		if word == "stat" || word == "wchp" || word == "dump" || word == "hash" {
			slices.Sort(got)
			slices.Sort(want)
			got, want = slices.Compact(got), slices.Compact(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		compared++
	}
	if compared < 10 {
		t.Errorf("only %d answers compared", compared)
	}
}

// mntr has every name of Apache ZooKeeper 3.8, and none of its own but for those of other releases.
func TestMonitorNames(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/apache-3.8.0.txtar")
	if err != nil {
		t.Fatal(err)
	}
	keys := func(text string) []string {
		var all []string
		for line := range strings.Lines(text) {
			key, _, ok := strings.Cut(line, "\t")
			if !ok {
				t.Errorf("no tab in %q", line)
			}
			all = append(all, key)
		}
		return all
	}
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "leader/mntr" })
	theirs := keys(string(archive.Files[i].Data))
	answer := ask(newFixed(t, node.Leading), "mntr")
	ours := keys(answer)
	later := regexp.MustCompile(`^zk_(fsync_threshold_exceed_count|op_count_\w+|(snapshot|restore)_(error|rate_limited)_count|\w+_restore_time)$`)
	inSet := regexp.MustCompile(`_per_namespace$|learner_handler_qp|ack_latency$`)
	for _, key := range ours {
		if !slices.Contains(theirs, key) && !later.MatchString(key) && !inSet.MatchString(key) {
			t.Errorf("%s is no key of Apache ZooKeeper", key)
		}
	}
	for _, key := range theirs {
		if !slices.Contains(ours, key) && !inSet.MatchString(key) {
			t.Errorf("%s of Apache ZooKeeper is missing", key)
		}
	}
	if slices.Sort(ours); len(slices.Compact(ours)) != len(ours) {
		t.Error("a key comes twice")
	}
}

func TestWhitelist(t *testing.T) {
	src := newFixed(t, node.Standalone)
	for _, c := range []struct {
		whitelist []string
		word      string
		answered  bool
	}{
		{nil, "srvr", true}, {nil, "ruok", false}, {nil, "isro", false}, {nil, "envi", false},
		{[]string{"ruok"}, "ruok", true}, {[]string{"ruok"}, "stat", false}, {[]string{"*"}, "wchc", true},
		{[]string{"mntr", "*"}, "stat", true},
	} {
		src.cfg.FourLetterWords = c.whitelist
		text := ask(src, c.word)
		refusal := c.word + " is not executed because it is not in the whitelist.\n"
		if (text != refusal) != c.answered {
			t.Errorf("with %v %s answers %q", c.whitelist, c.word, text)
		}
	}
	if src.resetStats+src.resetConns > 0 {
		t.Error("a refused word did something")
	}
	for _, word := range []string{"nope", "", "RUOK", "\x00\x00\x00\x2d", "rst"} {
		if _, ok := ArgumentBytes(word); ok {
			t.Errorf("%q is a word", word)
		}
	}
}

// A server that takes no clients answers what the real one answers then.
func TestNotServing(t *testing.T) {
	src := newFixed(t, node.Looking)
	for word := range words {
		want := notServing
		switch word {
		case "ruok":
			want = "imok"
		case "gtmk":
			want = "306"
		case "stmk":
			want = "7"
		case "isro":
			want = "null"
		case "hash":
			want = "This ZooKeeper instance is not currently serving requests"
		case telnetClose:
			want = ""
		case "envi":
			continue
		}
		if got := ask(src, word); got != want {
			t.Errorf("%q is answered %q, want %q", word, got, want)
		}
		src.mask = 306
	}
	src.cfg.FourLetterWords = nil
	if got := ask(src, telnetClose); got != "telnet close is not executed because it is not in the whitelist.\n" {
		t.Errorf("telnet is answered %q", got)
	}
	if src.cfg.ReadOnlyMode = true; ask(src, "isro") != "null" {
		t.Error("isro is not allowed with readonlymode.enabled")
	}
}

func TestDumpOfLocalSessions(t *testing.T) {
	src := newFixed(t, node.Leading)
	src.cfg.LocalSessions = true
	src.expiries.Local = []session.Due{{At: 92 * time.Second, IDs: []wire.SessionID{5}}}
	want := "SessionTracker dump:\nLocal Session Sets (1)/(1):\n1 expire at " + started.Add(92*time.Second).Format(javaDate) +
		":\n\t0x5\nGlobal Session Sets (2)/(3):\n"
	if got := ask(src, "dump"); !strings.HasPrefix(got, want) {
		t.Errorf("leader: %s", got)
	}
	src.expiries.Decides = false
	if got := ask(src, "dump"); !strings.Contains(got, "\t0x5\nGlobal Sessions(3):\n") {
		t.Errorf("learner: %s", got)
	}
}

func TestJavaAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"10.0.0.9:1": "10.0.0.9:1", "[::ffff:10.0.0.9]:1": "10.0.0.9:1", "[::1]:65535": "[0:0:0:0:0:0:0:1]:65535",
		"[fe80::1%eth0]:2": "[fe80:0:0:0:0:0:0:1%eth0]:2", "nonsense": "nonsense",
	} {
		if got := javaAddress(remote); got != want {
			t.Errorf("%s is written %s, want %s", remote, got, want)
		}
	}
}

func TestResets(t *testing.T) {
	src := newFixed(t, node.Leading)
	ask(src, "srst")
	ask(src, "crst")
	ask(src, "srvr")
	if src.resetStats != 1 || src.resetConns != 1 {
		t.Errorf("%d and %d resets, want one of each", src.resetStats, src.resetConns)
	}
	src.status.TakesClients = false
	ask(src, "srst")
	if src.resetStats != 1 {
		t.Error("reset while not serving")
	}
}

func TestEnvironment(t *testing.T) {
	answer := ask(newFixed(t, node.Looking), "envi")
	host, _ := os.Hostname()
	for _, want := range []string{
		"Environment:\nzookeeper.version=3.8.0-zkserver-1.2.3, built on 2026-02-11 20:15 UTC\n", "\nhost.name=" + host + "\n",
		"\nos.name=", "\nos.arch=", "\nos.version=", "\nuser.name=", "\nuser.home=", "\nuser.dir=", "\nos.memory.total=",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("%q is missing in %s", want, answer)
		}
	}
	for line := range strings.Lines(strings.TrimPrefix(answer, "Environment:\n")) {
		if key, value, _ := strings.Cut(line, "="); key == "" || strings.TrimSpace(value) == "" {
			t.Errorf("empty: %q", line)
		}
	}
}

func TestBuildTime(t *testing.T) {
	if at := builtAt(); at.Before(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("built at %v", at)
	}
}

func TestSummary(t *testing.T) {
	var s, other Summary
	for _, d := range []time.Duration{5, 0, 7} {
		s.Add(d)
	}
	if want := (Summary{3, 12, 0, 7}); s != want {
		t.Errorf("got %v, want %v", s, want)
	}
	other.Merge(s)
	other.Merge(Summary{})
	other.Merge(Summary{1, 9, 9, 9})
	if want := (Summary{4, 21, 0, 9}); other != want {
		t.Errorf("merged: %v, want %v", other, want)
	}
	for _, c := range []struct {
		s    Summary
		want string
	}{
		{Summary{}, "0.0"}, {Summary{Count: 2, Total: time.Millisecond}, "0.5"}, {Summary{Count: 3, Total: time.Millisecond}, "0.3333"},
		{Summary{Count: 1, Total: 12 * time.Millisecond}, "12.0"}, {Summary{Count: 1, Total: 10 * time.Nanosecond}, "0.0"},
	} {
		if got := javaDouble(avgMillis(c.s)); got != c.want {
			t.Errorf("mean of %v is %s, want %s", c.s, got, c.want)
		}
	}
}

func TestJavaDouble(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0.0", 1: "1.0", 1.5: "1.5", -1: "-1.0", 0.0001: "1.0E-4", 0.00123: "0.00123", 0.001: "0.001", 9999999: "9999999.0",
		1e7: "1.0E7", 12345678.5: "1.23456785E7", 1.4961: "1.4961", math.Inf(-1): "-Infinity", math.NaN(): "NaN",
	} {
		if got := javaDouble(x); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
}

func TestLastZxid(t *testing.T) {
	for _, c := range []struct {
		status node.Status
		want   wire.Zxid
	}{
		{node.Status{Serving: true, Role: node.Leading, Epoch: 2, Zxid: 0x100000019}, 0x200000000},
		{node.Status{Serving: true, Role: node.Leading, Epoch: 2, Zxid: 0x200000003}, 0x200000003},
		{node.Status{Serving: true, Role: node.Following, Epoch: 2, Zxid: 0x100000019}, 0x100000019},
	} {
		if got := lastZxid(c.status); got != c.want {
			t.Errorf("%v at %v in epoch %d shows %v, want %v", c.status.Role, c.status.Zxid, c.status.Epoch, got, c.want)
		}
	}
}

func TestReadOnlyMember(t *testing.T) {
	src := newFixed(t, node.Looking)
	src.status.TakesClients, src.status.ReadOnly = true, true
	for word, want := range map[string]string{"isro": "ro", "srvr": "\nMode: read-only\n", "mntr": "zk_server_state\tread-only\n"} {
		if got := ask(src, word); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", word, got, want)
		}
	}
}
