package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zkctl/zkctl/server/node"
)

// FuzzHTTP sends bytes to both ports that speak HTTP: a request that can be read is answered with a status that is meant,
// with valid JSON by the one, with what Prometheus can read by the other.
func FuzzHTTP(f *testing.F) {
	for _, c := range commands {
		for _, name := range c.names {
			method := "GET"
			if c.posts {
				method = "POST"
			}
			f.Add([]byte(method + " /commands/" + name + " HTTP/1.1\r\nHost: x\r\nAuthorization: digest root:root\r\n\r\n"))
		}
	}
	for _, seed := range []string{
		"GET / HTTP/1.0\r\n\r\n", "TRACE /commands HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /commands/stmk?traceMask=-8 HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /commands/%00%ff%22 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /commands/snapshot?streaming=false HTTP/1.1\r\nHost: x\r\nAuthorization: x509  \r\nX-Forwarded-For: ::1, 2\r\n\r\n",
		"POST /commands/shed HTTP/1.1\r\nHost: x\r\nAuthorization: digest root:root\r\nContent-Length: 16\r\n\r\n{\"percentage\":9}",
		"POST /commands/restore HTTP/1.1\r\nHost: x\r\nAuthorization: digest root:root\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET /metrics?name[]=fsynctime&name%5b%5d=jvm_info HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 13\r\n\r\nname[]=uptime",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b--\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var commandPorts, metricsPorts []http.Handler
	for _, role := range []node.Role{node.Standalone, node.Leading, node.Looking} {
		src := newFixed(f, role)
		src.cfg.Admin.Snapshot, src.cfg.Admin.Restore, src.cfg.Admin.TrustForwardedFor = true, true, true
		src.cfg.Admin.RateLimit, src.cfg.Storage.LastZxidInSnapshots = 0, true
		src.access, src.snapshot = Granted, filepath.Join(src.cfg.DataDir, "version-2", "snapshot.0")
		commandPorts = append(commandPorts, CommandHandler(src, slog.New(slog.DiscardHandler)))
		metricsPorts = append(metricsPorts, MetricsHandler(src))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		turn := len(b) % len(commandPorts)
		if r := serveBytes(commandPorts[turn], b); r != nil {
			checkStatus(t, r, 200, 400, 401, 403, 404, 405, 414, 429, 500, 503)
			if body := r.Body.Bytes(); r.Header().Get("Content-Type") == "application/json" && !json.Valid(body) {
				t.Errorf("no JSON: %q", body)
			}
		}
		if !bytes.Contains(b, []byte("metrics")) {
			return // answering costs, and the rest is the library's
		}
		if r := serveBytes(metricsPorts[turn], b); r != nil {
			checkStatus(t, r, 200, 301, 307, 400, 404, 405)
			kind, coding := r.Header().Get("Content-Type"), r.Header().Get("Content-Encoding")
			if r.Code == http.StatusOK && strings.HasPrefix(kind, "text/plain; version=0.0.4") && coding == "" {
				parser := expfmt.NewTextParser(model.LegacyValidation)
				if _, err := parser.TextToMetricFamilies(bytes.NewReader(r.Body.Bytes())); err != nil {
					t.Errorf("no metrics: %v", err)
				}
			}
		}
	})
}

// serveBytes lets a handler answer the request that bytes begin with, if they do with one.
func serveBytes(h http.Handler, b []byte) *httptest.ResponseRecorder {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil
	}
	request.RemoteAddr = "127.0.0.1:7"
	r := httptest.NewRecorder()
	h.ServeHTTP(r, request)
	return r
}

func checkStatus(t *testing.T, r *httptest.ResponseRecorder, meant ...int) {
	t.Helper()
	if !slices.Contains(meant, r.Code) {
		t.Errorf("status %d: %q", r.Code, r.Body)
	}
}
