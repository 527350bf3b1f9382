package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/audit"
	"github.com/zkctl/zkctl/server/config"
)

func newAudit(t *testing.T, c config.Audit, log *slog.Logger) *auditLog {
	t.Helper()
	c.AuditEnabled = true
	a, err := openAudit(&c, log)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAuditFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAudit(t, config.Audit{AuditFile: file}, slog.New(slog.DiscardHandler))
	a.server(audit.ServerStart, audit.Success)
	a.add(audit.Event{User: "bob", Operation: audit.Create, Znode: "/a", Result: audit.Failure})
	a.add(audit.Event{Session: "0x1", Operation: audit.Ephemeral, Znode: "/e", Result: audit.Success})
	a.close()
	want := regexp.MustCompile(`^before
\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO o\.a\.z\.a\.Slf4jAuditLogger: user=([^\t]+)	operation=serverStart	result=success
[^\n]+ ERROR o\.a\.z\.a\.Slf4jAuditLogger: user=bob	operation=create	znode=/a	result=failure
[^\n]+ INFO o\.a\.z\.a\.Slf4jAuditLogger: session=0x1	user=([^\t]+)	operation=ephemeral\w+	znode=/e	result=success
$`)
	if text := contents(t, file); !want.MatchString(text) {
		t.Errorf("got\n%s", text)
	}
}

// A file that was moved away, as logrotate does, is left alone.
func TestAuditFileIsMoved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	a := newAudit(t, config.Audit{AuditFile: file}, slog.New(slog.DiscardHandler))
	a.server(audit.ServerStart, audit.Success)
	a.close()
	a = newAudit(t, config.Audit{AuditFile: file}, slog.New(slog.DiscardHandler))
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	a.server(audit.ServerStop, audit.Invoked) // the first line after the opening looks for the file
	a.close()
	if old, now := contents(t, file+".1"), contents(t, file); strings.Count(old, "\n") != 1 || !strings.Contains(now, "serverStop") {
		t.Errorf("the old file has\n%sthe new one\n%s", old, now)
	}
}

func TestAuditInTheLog(t *testing.T) {
	var out strings.Builder
	a := newAudit(t, config.Audit{AuditFailuresOnly: true}, slog.New(slog.NewTextHandler(&out, nil)))
	a.server(audit.ServerStart, audit.Success)
	a.server(audit.ServerStart, audit.Failure)
	a.close()
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=ERROR msg=audit event="user=`) ||
		!strings.Contains(got, `\toperation=serverStart\tresult=failure"`) {
		t.Errorf("got %s", got)
	}
}

func TestNoAudit(t *testing.T) {
	a, err := openAudit(new(config.Audit), nil)
	if a != nil || err != nil {
		t.Fatalf("got %v, %v", a, err)
	}
	a.server(audit.ServerStart, audit.Success)
	a.close()
	if _, err := openAudit(&config.Audit{AuditEnabled: true, AuditFile: filepath.Join(t.TempDir(), "none", "audit.log")}, nil); err == nil {
		t.Error("a file in no directory is opened")
	}
}
