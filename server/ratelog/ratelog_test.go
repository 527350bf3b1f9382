package ratelog

import (
	"bytes"
	"log/slog"
	"testing"
	"time"
)

func TestEachMessageAFewTimes(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1, 0)
	l := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	l.now = func() time.Time { return now }
	expect := func(want string) {
		t.Helper()
		if got := out.String(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		out.Reset()
	}
	for range Burst {
		l.Warn("bad", "remote", "a")
		expect("level=WARN msg=bad remote=a\n")
	}
	l.Info("other")
	expect("level=INFO msg=other\n")
	for range 3 {
		l.Warn("bad", "remote", "b")
	}
	now = now.Add(Interval - 1)
	l.Warn("bad")
	expect("")
	now = now.Add(1)
	l.Warn("bad", "remote", "c")
	expect("level=WARN msg=bad remote=c left_out=4\n")
	now = now.Add(Interval)
	l.Warn("bad")
	expect("level=WARN msg=bad\n")
}
