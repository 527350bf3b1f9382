package admin

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxHeaderBytes and maxQueryBytes bound what a request may say before its body.
	maxHeaderBytes = 16 << 10
	maxQueryBytes  = 4 << 10
	// maxConnections are open at a time; more wait in the queue of the operating system.
	maxConnections = 100
)

// Port is how a port of HTTP is served.
type Port struct {
	// Idle is how long a connection may bring and take nothing.
	Idle time.Duration
	// Handshake makes an accepted connection ready, as TLS does; nil takes it as it is.
	Handshake func(*net.TCPConn) (net.Conn, error)
}

// Serve serves HTTP on a listener until ctx ends, and returns when no request is under way any more.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, p Port, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeaderBytes, ReadTimeout: p.Idle, WriteTimeout: p.Idle, IdleTimeout: p.Idle,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withTLS,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		server.Close()
	})
	err := server.Serve(limit(l, p.Handshake))
	if !stop() {
		<-ended
		return nil
	}
	server.Close()
	return err
}

type tlsKey struct{}

// withTLS lets handlers know what the connection of a request has come to in its handshake.
func withTLS(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*limitedConn); ok {
		if secured, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
			return context.WithValue(ctx, tlsKey{}, secured.ConnectionState())
		}
	}
	return ctx
}

// tlsOf is the state of the TLS over which a request has come; ok is false for a plain one.
func tlsOf(r *http.Request) (state tls.ConnectionState, ok bool) {
	state, ok = r.Context().Value(tlsKey{}).(tls.ConnectionState)
	return state, ok
}

// CommandHandler answers requests for commands.
func CommandHandler(src Source, log *slog.Logger) http.Handler {
	return &commandHandler{src: src, log: log, limits: newLimits(src.Config().Admin.RateLimit)}
}

type commandHandler struct {
	src    Source
	log    *slog.Logger
	limits *limits
}

func (h *commandHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, secured := tlsOf(r); secured {
		w.Header().Set("Strict-Transport-Security", "max-age=86400; includeSubDomains")
	}
	base := h.src.Config().Admin.CommandURL
	name, ok := strings.CutPrefix(r.URL.Path, base)
	switch {
	case r.Method == http.MethodTrace:
		http.Error(w, "TRACE is refused", http.StatusForbidden)
	case !ok || name != "" && name[0] != '/':
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		notAllowed(w, "GET, HEAD, POST, OPTIONS")
	case len(r.URL.RawQuery) > maxQueryBytes:
		http.Error(w, "the query is too long", http.StatusRequestURITooLong)
	case name == "" || name == "/":
		h.list(w, base)
	default:
		h.serve(w, r, name[1:])
	}
}

// list links all commands.
func (h *commandHandler) list(w http.ResponseWriter, base string) {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.names[0]
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(`<a href="` + base + "/" + name + `">` + name + "</a>\n<br/>\n")
	}
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	io.WriteString(w, b.String())
}

// serve runs a command.
func (h *commandHandler) serve(w http.ResponseWriter, r *http.Request, name string) {
	c := find(name)
	switch {
	case c == nil:
		writeAnswer(w, http.StatusOK, answer(nil, name, "Unknown command: "+name))
		return
	case !c.idle && !h.src.Status().TakesClients:
		writeAnswer(w, http.StatusOK, answer(nil, name, strings.TrimSuffix(notServing, "\n")))
		return
	case c.posts && r.Method != http.MethodPost:
		notAllowed(w, "POST, OPTIONS")
		return
	case !c.posts && r.Method == http.MethodPost:
		notAllowed(w, "GET, HEAD, OPTIONS")
		return
	}
	run := &call{
		src: h.src, ctx: r.Context(), log: h.log, limits: h.limits, args: r.URL.Query(), header: make(map[string]string),
	}
	patience := h.src.Config().Admin.IdleTimeout
	control := http.NewResponseController(w)
	if c.guarded {
		if status, reason := h.authorize(r); status != 0 {
			h.log.Warn("refused", "command", name, "remote", r.RemoteAddr, "reason", reason)
			writeAnswer(w, status, answer(nil, name, reason))
			return
		}
		// These take their time: only silence of the client ends them.
		control.SetReadDeadline(time.Time{})
		control.SetWriteDeadline(time.Time{})
	}
	if c.posts && r.ContentLength != 0 {
		run.body = &patientReader{r.Body, control, patience}
	}
	c.run(run)
	for key, value := range run.header {
		w.Header()[key] = []string{value} // as they are: a canonical form would change their case
	}
	if run.status == 0 {
		run.status = http.StatusOK
	}
	if run.stream == nil {
		writeAnswer(w, run.status, answer(run.fields, c.names[0], nil))
		return
	}
	defer run.stream.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(run.status)
	if r.Method != http.MethodHead {
		io.Copy(&patientWriter{w, control, patience}, run.stream) // a client that goes away has no use for an error
	}
}

// patientReader reads a body for as long as it does not stop coming.
type patientReader struct {
	io.Reader
	control  *http.ResponseController
	patience time.Duration
}

func (r *patientReader) Read(b []byte) (int, error) {
	r.control.SetReadDeadline(time.Now().Add(r.patience)) // fails for a connection that the read will fail for
	return r.Reader.Read(b)
}

// patientWriter writes a body for as long as it does not stop being taken.
type patientWriter struct {
	io.Writer
	control  *http.ResponseController
	patience time.Duration
}

func (w *patientWriter) Write(b []byte) (int, error) {
	w.control.SetWriteDeadline(time.Now().Add(w.patience)) // as above
	return w.Writer.Write(b)
}

func writeAnswer(w http.ResponseWriter, status int, o object) {
	b := appendJSON(nil, o, 0)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "this method is not supported here", http.StatusMethodNotAllowed)
}
