package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
)

const (
	document = "../../docs/metrics.md"
	// generated is where the tables of the document begin.
	generated = "<!-- what follows is written by go test ./server/admin -update -->\n"
)

func kindOf(m metrics.Metric) string {
	kind := map[bool]string{true: "counter", false: "summary"}[m.Counter != nil || m.CounterSet != nil]
	if m.Advanced {
		kind = "advanced summary"
	}
	if m.CounterSet != nil || m.SummarySet != nil {
		kind += " by key"
	}
	return kind
}

// tables are all metrics, as the document has them.
func tables(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n## Gauges\n\n| Name | Meaning |\n| --- | --- |\n")
	for _, g := range gauges(newFixed(t, node.Leading)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", g.name, g.help)
	}
	b.WriteString("\n## Counters and summaries\n\n| Name | Kind | Meaning |\n| --- | --- | --- |\n")
	var never strings.Builder
	for _, m := range metrics.New().All() {
		if m.Never == "" {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, kindOf(m), m.Help)
		} else {
			fmt.Fprintf(&never, "| `%s` | %s | %s |\n", m.Name, kindOf(m), m.Never)
		}
	}
	b.WriteString("\n## Without a meaning here\n\nThese are shown and stay 0, so that dashboards find them.\n\n| Name | Kind | Why |\n| --- | --- | --- |\n")
	return b.String() + never.String()
}

func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, got, ok := strings.Cut(string(text), generated)
	if !ok {
		t.Fatalf("%s has no line %s", document, generated)
	}
	want := tables(t)
	if *update {
		if err := os.WriteFile(document, []byte(head+generated+want), 0o644); err != nil {
			t.Fatal(err)
		}
		got = want
	}
	if got != want {
		t.Errorf("%s is not up to date: go test ./server/admin -update", document)
	}
}

// The endpoint has every metric that Apache ZooKeeper's has, of the same type, but for figures of a JVM that the document
// says are missing.
func TestMetricsAsApache(t *testing.T) {
	text, err := os.ReadFile("testdata/apache-3.8.0-metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	src := newFixed(t, node.Leading)
	src.cfg.Metrics.ExportJVMInfo = true
	m := src.metrics
	for _, d := range m.All() { // sets are shown with their members only
		switch {
		case d.CounterSet != nil:
			d.CounterSet.Add("k", 1)
		case d.SummarySet != nil:
			d.SummarySet.Summary("k").Add(1)
		}
	}
	w := httptest.NewRecorder()
	MetricsHandler(src).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	types := w.Body.String()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 150 {
		t.Fatalf("only %d names", len(lines))
	}
	for _, line := range lines {
		if strings.Contains(types, "# TYPE "+line+"\n") {
			continue
		}
		name, _, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(name, "jvm_") || !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("%s is missing, or of another type", line)
		}
	}
}
