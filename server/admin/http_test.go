package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/watch"
)

// request asks for a command.
func request(src Source, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRecorder()
	CommandHandler(src, slog.New(slog.DiscardHandler)).ServeHTTP(r, httptest.NewRequest(method, path, nil))
	return r
}

var dynamicKey = regexp.MustCompile(`^(-?\d+|/.*)$`)

// shapeOf lists the paths of a JSON value with the types that stand there, once each. Members that are named by numbers
// or paths of nodes count as one.
func shapeOf(t *testing.T, text []byte) []string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	shapes := make(map[string]bool)
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			shapes[path+" object"] = true
			for key, value := range v {
				if dynamicKey.MatchString(key) {
					key = "N"
				}
				walk(path+"."+key, value)
			}
		case []any:
			shapes[path+" array"] = true
			for _, value := range v {
				walk(path+"[]", value)
			}
		default:
			shapes[fmt.Sprintf("%s %T", path, value)] = true
		}
	}
	walk("", value)
	return slices.Sorted(maps.Keys(shapes))
}

// Every answer has the members of Apache ZooKeeper's, and no others, with values of the same types.
func TestCommandsAsApache(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/apache-3.8.0-http.txtar")
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]node.Role{"standalone": node.Standalone, "leader": node.Leading, "observer": node.Observing}
	asked := make(map[string]bool)
	for _, f := range archive.Files {
		role, name, _ := strings.Cut(f.Name, "/")
		src := newFixed(t, roles[role])
		src.watches.Remove("/a", 8, watch.All)
		switch {
		case role == "standalone" && name == "hash":
			src.digests = nil // as recorded
		case role != "standalone" && name == "initial_configuration":
			continue // Apache ZooKeeper shows it on a standalone server only
		}
		r := request(src, http.MethodGet, "/commands/"+name)
		if r.Code != http.StatusOK || r.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, %v", f.Name, r.Code, r.Header())
		}
		got, want := shapeOf(t, r.Body.Bytes()), shapeOf(t, f.Data)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s\n%s", f.Name, strings.Join(got, "\n"), strings.Join(want, "\n"), r.Body)
		}
		asked[name] = true
	}
	for _, c := range commands {
		switch name := c.names[0]; {
		case asked[name], c.guarded, name == "monitor", name == "environment", name == "system_properties":
		default:
			t.Errorf("%s is not compared", name)
		}
	}
}

func TestCommands(t *testing.T) {
	src := newFixed(t, node.Leading)
	for path, want := range map[string]string{
		"/commands/ruok":       "{\n  \"command\" : \"ruok\",\n  \"error\" : null\n}",
		"/commands/srst":       "{\n  \"command\" : \"stat_reset\",\n  \"error\" : null\n}",
		"/commands/no%0Ane%22": "{\n  \"command\" : \"no\\nne\\\"\",\n  \"error\" : \"Unknown command: no\\nne\\\"\"\n}",
		"/commands/stmk":       "{\n  \"error\" : \"setTraceMask requires long traceMask argument\",\n  \"command\" : \"set_trace_mask\"\n}",
		"/commands/stmk?traceMask=x1": "{\n  \"error\" : \"setTraceMask requires long traceMask argument, got x1\",\n" +
			"  \"command\" : \"set_trace_mask\"\n}",
		"/commands/stmk?traceMask=8": "{\n  \"tracemask\" : 8,\n  \"command\" : \"set_trace_mask\",\n  \"error\" : null\n}",
		"/commands/lsnp": "{\n  \"zxid\" : \"100000003\",\n  \"timestamp\" : 1770840000,\n  \"command\" : \"last_snapshot\",\n" +
			"  \"error\" : null\n}",
	} {
		if r := request(src, http.MethodGet, path); r.Code != http.StatusOK || r.Body.String() != want {
			t.Errorf("%s: status %d, %s\nwant %s", path, r.Code, r.Body, want)
		}
	}
	if src.mask != 8 || src.resetStats != 1 {
		t.Errorf("mask %d, %d resets", src.mask, src.resetStats)
	}
	for _, alias := range []string{"conf", "config", "cons", "env", "envi", "gtmk", "icfg", "isro", "lead", "mntr", "obsr", "srvr", "stat", "sysp", "wchs", "wchc", "wchp", "crst", "orst"} {
		if r := request(src, http.MethodGet, "/commands/"+alias); strings.Contains(r.Body.String(), "Unknown") || !json.Valid(r.Body.Bytes()) {
			t.Errorf("%s: %s", alias, r.Body)
		}
	}
	if src.resetConns != 1 || src.resetObs != 1 {
		t.Errorf("%d and %d resets", src.resetConns, src.resetObs)
	}
	observing := newFixed(t, node.Observing)
	if r := request(observing, http.MethodGet, "/commands/lsnp"); !strings.Contains(r.Body.String(), `"zxid" : "ffffffffffffffff",`+"\n"+`  "timestamp" : -1,`) {
		t.Errorf("no snapshot: %s", r.Body)
	}
}

// A server that takes no clients answers only some commands.
func TestCommandsWhileNotServing(t *testing.T) {
	src := newFixed(t, node.Looking)
	for _, c := range commands {
		if c.guarded {
			continue
		}
		r := request(src, http.MethodGet, "/commands/"+c.names[0])
		refused := strings.Contains(r.Body.String(), "This ZooKeeper instance is not currently serving requests\"")
		if r.Code != http.StatusOK || refused == c.idle {
			t.Errorf("%s: status %d, %s", c.names[0], r.Code, r.Body)
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	src := newFixed(t, node.Standalone)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/commands", 200}, {http.MethodGet, "/commands/", 200}, {http.MethodHead, "/commands/ruok", 200},
		{http.MethodGet, "/", 404}, {http.MethodGet, "/commandsx", 404}, {http.MethodGet, "/metrics", 404},
		{http.MethodPost, "/commands/ruok", 405}, {http.MethodPut, "/commands/ruok", 405}, {http.MethodDelete, "/commands/ruok", 405},
		{http.MethodTrace, "/commands/ruok", 403}, {http.MethodTrace, "/", 403}, {http.MethodOptions, "/commands/ruok", 200},
		{http.MethodGet, "/commands/ruok?" + strings.Repeat("a=b&", 2000), 414},
	} {
		if r := request(src, c.method, c.path); r.Code != c.status {
			t.Errorf("%s %.40s: status %d, want %d", c.method, c.path, r.Code, c.status)
		}
	}
	list := request(src, http.MethodGet, "/commands").Body.String()
	if !strings.HasPrefix(list, "<a href=\"/commands/configuration\">configuration</a>\n<br/>\n<a href=\"/commands/connection_stat_reset\">") ||
		strings.Count(list, "\n") != 2*len(commands) {
		t.Errorf("the list is %s", list)
	}
	src.cfg.Admin.CommandURL = "/zk"
	if r := request(src, http.MethodGet, "/zk/ruok"); r.Code != http.StatusOK {
		t.Errorf("another URL: status %d", r.Code)
	}
	src.cfg.Admin.CommandURL = ""
	if r := request(src, http.MethodGet, "/ruok"); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), `"ruok"`) {
		t.Errorf("at the root: status %d, %s", r.Code, r.Body)
	}
}

func TestMonitorCommandHasWhatMntrHas(t *testing.T) {
	src := newFixed(t, node.Leading)
	var got map[string]any
	if err := json.Unmarshal(request(src, http.MethodGet, "/commands/monitor").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(ask(src, "mntr")), "\n")
	for _, line := range lines {
		key, value, _ := strings.Cut(strings.TrimPrefix(line, "zk_"), "\t")
		if key == "open_file_descriptor_count" {
			continue
		}
		shown := fmt.Sprint(got[key])
		if f, ok := got[key].(float64); ok {
			shown = strings.TrimSuffix(javaDouble(f), ".0")
			value = strings.TrimSuffix(value, ".0")
		}
		if shown != value {
			t.Errorf("%s is %s, mntr has %s", key, shown, value)
		}
	}
	if len(got) != len(lines)+2 {
		t.Errorf("%d members for %d lines", len(got), len(lines))
	}
}
