package admin

import (
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zkctl/zkctl/server/node"
)

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r
}

func TestMetrics(t *testing.T) {
	src := newFixed(t, node.Leading)
	h := MetricsHandler(src)
	r := get(t, h, "/metrics")
	if r.Code != http.StatusOK {
		t.Fatalf("status %d: %s", r.Code, r.Body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"znode_count": 10, "num_alive_connections": 2, "approximate_data_size": 258, "watch_count": 4, "avg_latency": 1.5455,
		"uptime": 60000, "quorum_size": 3, "synced_followers": 3, "learners": 4, "synced_non_voting_followers": 1,
		"outstanding_requests": 2, "max_proposal_size": 94,
	} {
		f := families[name]
		if f == nil || f.GetMetric()[0].GetGauge() == nil {
			t.Errorf("%s is no gauge: %v", name, f)
			continue
		}
		if got := f.GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		"looking_count": 2, "bytes_received_count": 346, "diff_count": 2, "snap_count": 0, "connection_rejected": 1, "proposal_count": 22,
	} {
		f := families[name]
		if f == nil || f.GetMetric()[0].GetCounter().GetValue() != want {
			t.Errorf("%s: %v, want a counter of %v", name, f, want)
		}
	}
	for name, want := range map[string][2]float64{
		"fsynctime": {3, 4.2}, "snapshottime": {1, 30}, "election_time": {1, 250}, "readlatency": {1, 0}, "updatelatency": {3, 8.4},
		"sync_processor_batch_size": {1, 2}, "observer_sync_time": {0, 0},
	} {
		f := families[name]
		if f == nil || f.GetMetric()[0].GetSummary() == nil {
			t.Errorf("%s is no summary: %v", name, f)
			continue
		}
		s := f.GetMetric()[0].GetSummary()
		if got := [2]float64{float64(s.GetSampleCount()), s.GetSampleSum()}; got != want {
			t.Errorf("%s: count and sum are %v, want %v", name, got, want)
		}
	}
	quantiles := make(map[float64]float64)
	for _, q := range families["updatelatency"].GetMetric()[0].GetSummary().GetQuantile() {
		quantiles[q.GetQuantile()] = math.Round(q.GetValue())
	}
	if want := (map[float64]float64{0.5: 2, 0.9: 6, 0.99: 6}); !maps.Equal(quantiles, want) {
		t.Errorf("quantiles of updatelatency are %v, want %v", quantiles, want)
	}
	if q := families["fsynctime"].GetMetric()[0].GetSummary().GetQuantile(); len(q) != 1 || q[0].GetQuantile() != 0.5 {
		t.Errorf("quantiles of fsynctime are %v", q)
	}
	for name, want := range map[string]string{"ack_latency": "2", "read_per_namespace": "app", "quota_exceeded_error_per_namespace": "app", "quota_count_limit_per_namespace": "app"} {
		if f := families[name]; f == nil || f.GetMetric()[0].GetLabel()[0].GetName() != "key" || f.GetMetric()[0].GetLabel()[0].GetValue() != want {
			t.Errorf("%s: %v", name, f)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "jvm_memory_bytes_used", "jvm_memory_bytes_max", "jvm_threads_current", "jvm_gc_collection_seconds"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}

	// A leader's figures end with its role.
	src.status.Role = node.Following
	if text := get(t, h, "/metrics").Body.String(); strings.Contains(text, "synced_followers") || !strings.Contains(text, "\nznode_count 10\n") {
		t.Errorf("as a follower: %s", text)
	}
	src.status.Serving = false
	if text := get(t, h, "/metrics").Body.String(); !strings.Contains(text, "\nuptime 0\n") {
		t.Errorf("not serving: %s", text)
	}
}

func TestOtherPages(t *testing.T) {
	h := MetricsHandler(newFixed(t, node.Standalone))
	if r := get(t, h, "/"); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), "/metrics") {
		t.Errorf("/: status %d, %q", r.Code, r.Body)
	}
	if r := get(t, h, "/commands"); r.Code != http.StatusNotFound {
		t.Errorf("/commands: status %d", r.Code)
	}
	for method, want := range map[string]int{
		http.MethodPost: http.StatusOK, http.MethodHead: http.StatusOK, http.MethodPut: http.StatusMethodNotAllowed, http.MethodDelete: http.StatusMethodNotAllowed,
	} {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(method, "/metrics", nil))
		if r.Code != want {
			t.Errorf("%s: status %d, want %d", method, r.Code, want)
		}
	}
}

// TestNamedMetrics: a name is that of a sample, not of a family of them.
func TestNamedMetrics(t *testing.T) {
	h := MetricsHandler(newFixed(t, node.Leading))
	samples := func(r *httptest.ResponseRecorder) (names []string, comments int) {
		t.Helper()
		if kind := r.Header().Get("Content-Type"); r.Code != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4;") {
			t.Fatalf("status %d, %s: %s", r.Code, kind, r.Body)
		}
		for line := range strings.Lines(r.Body.String()) {
			if line[0] == '#' {
				comments++
			} else {
				names = append(names, line[:strings.LastIndexByte(line, ' ')])
			}
		}
		return names, comments
	}
	for query, want := range map[string][]string{
		"name[]=znode_count": {"znode_count"},
		"name[]=znode_count&name[]=fsynctime&name[]=znode_count": {`fsynctime{quantile="0.5"}`, "znode_count"},
		"name%5B%5D=fsynctime_sum&name%5B%5D=fsynctime_count":    {"fsynctime_sum", "fsynctime_count"},
		"name[]=ack_latency_count":                               {`ack_latency_count{key="2"}`},
		"name[]=jvm_gc_collection_seconds_count&other=1":         {"jvm_gc_collection_seconds_count{gc=\"Go\"}"},
		"name[]=":                       nil,
		"name[]=znode&name[]=uptime%20": nil,
	} {
		got, comments := samples(get(t, h, "/metrics?"+query))
		if !slices.Equal(got, want) || comments%2 != 0 || (comments > 0) != (len(want) > 0) || comments > 2*len(want) {
			t.Errorf("%s: %q with %d comments, want %q", query, got, comments, want)
		}
	}
	if got, _ := samples(get(t, h, "/metrics?name=znode_count")); len(got) < 100 {
		t.Errorf("without names: %q", got)
	}

	post := func(body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/metrics?name[]=uptime", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if got, _ := samples(post("name[]=znode_count")); !slices.Equal(got, []string{"uptime", "znode_count"}) {
		t.Errorf("of a form: %q", got)
	}
	for _, body := range []string{"name[]=%zz", "name[]=" + strings.Repeat("x", 1<<20)} {
		if r := post(body); r.Code != http.StatusBadRequest {
			t.Errorf("a form of %d bytes: status %d", len(body), r.Code)
		}
	}
}
