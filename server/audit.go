package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/zkctl/zkctl/server/audit"
	"github.com/zkctl/zkctl/server/config"
)

// auditQueue is how many lines may wait to be written. Who brings more waits: no line is left out.
const auditQueue = 4096

// auditLog writes the lines of the audit log in a goroutine of its own. A nil one does nothing.
type auditLog struct {
	path         string // "" for the server's log
	failuresOnly bool
	log          *slog.Logger
	user         string // who has started the server

	lines chan audit.Event
	ended chan struct{}

	// Of the goroutine alone.
	file    *os.File
	checked time.Time
	failed  bool
}

// openAudit opens the audit log, nil if there is to be none.
func openAudit(c *config.Audit, log *slog.Logger) (*auditLog, error) {
	if !c.AuditEnabled {
		return nil, nil
	}
	a := &auditLog{
		path: c.AuditFile, failuresOnly: c.AuditFailuresOnly, log: log, user: userName(),
		lines: make(chan audit.Event, auditQueue), ended: make(chan struct{}),
	}
	if a.path != "" {
		if err := a.open(); err != nil {
			return nil, fmt.Errorf("open the audit log: %w", err)
		}
	}
	go a.run()
	return a, nil
}

// userName is who runs this process.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "<NA>"
	}
	return u.Username
}

// add logs an event. What nobody else has done is done by who has started the server.
func (a *auditLog) add(e audit.Event) {
	if a == nil || a.failuresOnly && e.Result != audit.Failure {
		return
	}
	if e.Operation == audit.Ephemeral || e.Operation == audit.ServerStart || e.Operation == audit.ServerStop {
		e.User = a.user
	}
	a.lines <- e
}

// server logs the start or the stop of the server.
func (a *auditLog) server(operation string, result audit.Result) {
	a.add(audit.Event{Operation: operation, Result: result})
}

// close writes what waits. Nothing may be added any more.
func (a *auditLog) close() {
	if a == nil {
		return
	}
	close(a.lines)
	<-a.ended
}

func (a *auditLog) run() {
	defer close(a.ended)
	for e := range a.lines {
		level := slog.LevelInfo
		if e.Result == audit.Failure {
			level = slog.LevelError
		}
		if a.path == "" {
			a.log.Log(context.Background(), level, "audit", "event", e.String())
			continue
		}
		a.write(level, e)
	}
	if a.file != nil {
		a.file.Close()
	}
}

// write appends a line in the layout of Apache ZooKeeper's logback.xml.
func (a *auditLog) write(level slog.Level, e audit.Event) {
	err := a.reopen()
	if err == nil {
		at := time.Now().Format("2006-01-02 15:04:05,000")
		_, err = io.WriteString(a.file, at+" "+level.String()+" o.a.z.a.Slf4jAuditLogger: "+e.String()+"\n")
	}
	if err != nil && !a.failed {
		a.log.Error("audit log cannot be written: lines are lost", "file", a.path, "error", err)
	}
	a.failed = err != nil
}

// reopen begins a new file where the old one has been moved away.
func (a *auditLog) reopen() error {
	if a.file != nil && time.Since(a.checked) < time.Second {
		return nil
	}
	a.checked = time.Now()
	if a.file != nil {
		mine, err := a.file.Stat()
		there, errThere := os.Stat(a.path)
		if err == nil && errThere == nil && os.SameFile(mine, there) {
			return nil
		}
		a.file.Close()
		a.file = nil
	}
	return a.open()
}

func (a *auditLog) open() (err error) {
	a.file, err = os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		a.file = nil
	}
	return err
}
