package admin

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

// guardedServer is a server whose guarded commands are allowed to everybody.
func guardedServer(t *testing.T) *fixed {
	t.Helper()
	src := newFixed(t, node.Standalone)
	src.cfg.Storage.LastZxidInSnapshots = true
	src.access = Granted
	src.snapshot = filepath.Join(t.TempDir(), "snapshot.100000016")
	if err := os.WriteFile(src.snapshot, []byte("the snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	return src
}

// demand asks for a guarded command of a handler.
func demand(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "digest root:secret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handlerOf(src Source) http.Handler { return CommandHandler(src, slog.New(slog.DiscardHandler)) }

// Whoever proves nothing, or too little, gets no guarded command, and none of it happens.
func TestGuards(t *testing.T) {
	src := guardedServer(t)
	handler := handlerOf(src)
	for _, c := range []struct {
		header string
		access Access
		status int
		reason string
	}{
		{"", Granted, 401, "Auth info is missing for the command"},
		{"digest", NotAuthenticated, 401, "Not authenticated"},
		{"digest root:secret more", Granted, 401, "Not authenticated"},
		{"digest root:wrong", NotAuthenticated, 401, "Not authenticated"},
		{"digest guest:guest", NotAuthorized, 403, "Not authorized"},
	} {
		for path, method := range map[string]string{"snapshot": "GET", "snap": "GET", "restore": "POST", "rest": "POST", "shed": "POST"} {
			src.access = c.access
			r := httptest.NewRequest(method, "/commands/"+path, strings.NewReader(`{"percentage":100}`))
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			want := "{\n  \"command\" : \"" + path + "\",\n  \"error\" : \"" + c.reason + "\"\n}"
			if w.Code != c.status || w.Body.String() != want {
				t.Errorf("%s with %q: status %d, %s", path, c.header, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the answer has the password")
			}
		}
	}
	if src.restored != "" || src.shed != 0 {
		t.Error("a command was run")
	}
}

func TestCredentials(t *testing.T) {
	src := guardedServer(t)
	handler := handlerOf(src)
	ask := func(header, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/commands/snapshot", nil)
		r.Header.Set("Authorization", header)
		r.Header.Set("X-Forwarded-For", forwarded)
		r.RemoteAddr = "[::ffff:10.0.0.9]:4000"
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	remote := netip.MustParseAddr("10.0.0.9")
	ask("digest root:secret", "10.1.1.1")
	if src.asked.Scheme != "digest" || string(src.asked.Data) != "root:secret" || src.asked.Remote != remote {
		t.Errorf("asked: %+v", src.asked)
	}
	ask("ip", "10.1.1.1")
	if src.asked.Scheme != "ip" || src.asked.Data != nil || src.asked.Remote != remote {
		t.Errorf("asked: %+v", src.asked)
	}
	src.cfg.Admin.TrustForwardedFor = true
	for header, want := range map[string]netip.Addr{
		"10.1.1.1, 10.2.2.2": netip.MustParseAddr("10.1.1.1"), "": remote, "localhost": {}, ",": {},
	} {
		if ask("ip", header); src.asked.Remote != want {
			t.Errorf("%q is from %v, want %v", header, src.asked.Remote, want)
		}
	}
}

func TestSnapshotCommand(t *testing.T) {
	src := guardedServer(t)
	for path, body := range map[string]string{
		"/commands/snapshot": "the snapshot", "/commands/snap?streaming=TRUE": "the snapshot",
		"/commands/snapshot?streaming=false": "{\n  \"command\" : \"snapshot\",\n  \"error\" : null\n}",
		"/commands/snapshot?streaming=":      "{\n  \"command\" : \"snapshot\",\n  \"error\" : null\n}",
	} {
		w := demand(handlerOf(src), http.MethodGet, path, "")
		if w.Code != http.StatusOK || w.Body.String() != body {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Body)
		}
		h := map[string][]string(w.Header()) // with the names in lower case, as Apache ZooKeeper sends them
		if !strings.HasPrefix(body, "{") && w.Header().Get("Content-Type") != "application/octet-stream" ||
			h["last_zxid"][0] != "0x100000016" || h["snapshot_size"][0] != "12" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if w := demand(handlerOf(src), http.MethodPost, "/commands/snapshot", "x"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a POST: status %d", w.Code)
	}
	for name, c := range map[string]struct {
		change func()
		status int
		errors float64
	}{
		"disabled":  {func() { src.cfg.Admin.Snapshot = false }, 503, 0},
		"no zxid":   {func() { src.cfg.Storage.LastZxidInSnapshots = false }, 500, 0},
		"failing":   {func() { src.failure = errors.New("disk full") }, 500, 1},
		"vanishing": {func() { src.snapshot += ".not" }, 500, 1},
	} {
		src = guardedServer(t)
		c.change()
		w := demand(handlerOf(src), http.MethodGet, "/commands/snapshot", "")
		if w.Code != c.status || w.Body.String() != "{\n  \"command\" : \"snapshot\",\n  \"error\" : null\n}" ||
			float64(src.metrics.SnapshotErrorCount.Value()) != c.errors {
			t.Errorf("%s: status %d, %s, %d errors", name, w.Code, w.Body, src.metrics.SnapshotErrorCount.Value())
		}
	}
}

func TestRestoreCommand(t *testing.T) {
	src := guardedServer(t)
	w := demand(handlerOf(src), http.MethodPost, "/commands/restore", "a snapshot")
	if want := "{\n  \"last_zxid\" : 4294967319,\n  \"command\" : \"restore\",\n  \"error\" : null\n}"; w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	if src.restored != "a snapshot" {
		t.Errorf("restored %q", src.restored)
	}
	for name, c := range map[string]struct {
		change       func()
		method, body string
		status       int
		errors       int64
	}{
		"disabled": {func() { src.cfg.Admin.Restore = false }, "", "x", 503, 0},
		"no zxid":  {func() { src.cfg.Storage.LastZxidInSnapshots = false }, "", "x", 500, 0},
		"failing":  {func() { src.failure = errors.New("bad file") }, "", "x", 500, 1},
		"no body":  {func() {}, "", "", 400, 0},
		"a GET":    {func() {}, http.MethodGet, "x", 405, 0},
		"idle":     {func() { src.status.TakesClients = false }, "", "x", 200, 0},
	} {
		src = guardedServer(t)
		c.change()
		w := demand(handlerOf(src), cmp.Or(c.method, http.MethodPost), "/commands/restore", c.body)
		if w.Code != c.status || src.metrics.RestoreErrorCount.Value() != c.errors || src.restored != "" && c.errors == 0 {
			t.Errorf("%s: status %d, %s, %d errors", name, w.Code, w.Body, src.metrics.RestoreErrorCount.Value())
		}
	}
}

func TestShedCommand(t *testing.T) {
	src := guardedServer(t)
	w := demand(handlerOf(src), http.MethodPost, "/commands/shed", `{"percentage": 40}`)
	want := "{\n  \"connections_shed\" : 3,\n  \"percentage_requested\" : 40,\n  \"command\" : \"shed_connections\",\n  \"error\" : null\n}"
	if w.Code != http.StatusOK || w.Body.String() != want || src.shed != 40 {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	for body, reason := range map[string]string{
		"":                      "Request body is required",
		"{}":                    "Missing required field: percentage",
		"[1]":                   "Invalid JSON",
		`{"percentage":101}`:    "Percentage must be between 0 and 100",
		`{"percentage":-1}`:     "Percentage must be between 0 and 100",
		`{"percentage":1.5}`:    "Percentage must be between 0 and 100",
		`{"percentage":1e400}`:  "Percentage must be between 0 and 100",
		`{"percentage":"many"}`: "Invalid JSON",
		`{"percentage":`:        "Invalid JSON",
		`{"x":"` + strings.Repeat("y", 2*maxShedBytes) + `","percentage":1}`: "Invalid JSON",
	} {
		src.shed = -1
		w := demand(handlerOf(src), http.MethodPost, "/commands/shed", body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), reason) || src.shed != -1 {
			t.Errorf("%.40q: status %d, %s", body, w.Code, w.Body)
		}
	}
}

// Each of the two commands is allowed once in its interval, also after a failure. That of snapshots is a thousandth.
func TestRateLimits(t *testing.T) {
	src := guardedServer(t)
	src.cfg.Admin.RateLimit = 5 * time.Minute
	snapshot := func(h http.Handler) int { return demand(h, http.MethodGet, "/commands/snapshot", "").Code }
	restore := func(h http.Handler) int { return demand(h, http.MethodPost, "/commands/restore", "x").Code }
	synctest.Test(t, func(t *testing.T) {
		handler := handlerOf(src)
		expect := func(ask func(http.Handler) int, statuses ...int) {
			t.Helper()
			for _, want := range statuses {
				if got := ask(handler); got != want {
					t.Errorf("status %d, want %d", got, want)
				}
			}
		}
		src.failure = errors.New("no")
		expect(restore, 500, 429, 429)
		src.failure = nil
		expect(snapshot, 200, 429)
		time.Sleep(301 * time.Millisecond)
		expect(snapshot, 200, 429)
		expect(restore, 429)
		time.Sleep(5 * time.Minute)
		expect(restore, 200, 429)
		src.cfg.Admin.RateLimit = 0
		handler = handlerOf(src)
		expect(restore, 200, 200, 200)
		expect(snapshot, 200, 200, 200)
	})
	if r, s := src.metrics.RestoreRateLimitedCount.Value(), src.metrics.SnapshotRateLimitedCount.Value(); r != 4 || s != 2 {
		t.Errorf("%d and %d counted", r, s)
	}
}

// A body that stops coming ends the request; one that comes slowly does not.
func TestSlowBodies(t *testing.T) {
	src := guardedServer(t)
	src.cfg.Admin.IdleTimeout = 300 * time.Millisecond
	src.cfg.Admin.RateLimit = 0
	address := serveSource(t, src, src.cfg.Admin.IdleTimeout)
	post := func(body io.Reader) (int, error) {
		r, err := http.NewRequest(http.MethodPost, "http://"+address+"/commands/restore", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "digest root:secret")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		a.Body.Close()
		return a.StatusCode, nil
	}
	in, out := io.Pipe()
	go func() {
		for range 12 {
			io.WriteString(out, "piece ")
			time.Sleep(60 * time.Millisecond)
		}
		out.Close()
	}()
	if status, err := post(in); status != http.StatusOK || src.restored != strings.Repeat("piece ", 12) {
		t.Errorf("a slow body: status %d, %v, %q", status, err, src.restored)
	}
	in, out = io.Pipe()
	defer out.Close()
	go io.WriteString(out, "piece ")
	began := time.Now()
	if status, err := post(in); status == http.StatusOK {
		t.Errorf("a body that stops: status %d, %v", status, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it ended after %v", took)
	}
}
