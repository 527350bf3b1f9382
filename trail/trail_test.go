package trail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func begin(id string, at time.Time, pid int) Begin {
	return Begin{Run: id, Time: at, Verb: "apply", Ensemble: "lab", Operator: "me@desk", PID: pid}
}

func TestTrail(t *testing.T) {
	state := t.TempDir()
	now := time.Now().UTC()
	redact := func(s string) string { return strings.ReplaceAll(s, "hunter2", "********") }
	w, err := Create(state, begin("b", now.Add(time.Second), os.Getpid()), redact)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(map[string]string{"kind": "change", "text": "the password is hunter2"}, true); err != nil {
		t.Fatal(err)
	}
	// It is cut off in the middle of a line, and somebody else has got the id of its process.
	w.f.Close()
	file := filepath.Join(state, "lab/audit/b.jsonl")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"kind":"cha`)
	f.Close()
	done, err := Create(state, begin("a", now, os.Getpid()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := done.End(End{ExitCode: 7, Error: "refused"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(state, begin("c", now.Add(2*time.Second), os.Getpid()), nil); err != nil {
		t.Fatal(err)
	}
	runs, err := List(state, "lab")
	if err != nil || len(runs) != 3 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for i, want := range []string{"a failed (7)", "b cut off", "c running"} {
		if got := runs[i].Run + " " + runs[i].Outcome(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "hunter2") || len(runs[1].Lines) != 2 {
		t.Errorf("%s, %v, %d lines", text, err, len(runs[1].Lines))
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if r, err := Find(state, "b"); err != nil || r.Run != "b" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := Find(state, "x"); err == nil {
		t.Error("found a run that was not")
	}
	if other, err := List(state, "other"); err != nil || len(other) != 0 {
		t.Errorf("%v, %v", other, err)
	}
	var none *Writer
	if none.Write("x", true) != nil || none.End(End{}) != nil {
		t.Error("a nil writer fails")
	}
	if a, b := NewID(now), NewID(now); a == b || !strings.HasPrefix(a, now.Format("20060102T1504")) {
		t.Errorf("ids %s, %s", a, b)
	}
}
