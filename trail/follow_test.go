package trail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOld(t *testing.T) {
	now := time.Now()
	run := func(ensemble string, days int, running bool) *Run {
		return &Run{Begin: Begin{Run: ensemble + string(rune('0'+days)), Ensemble: ensemble, Time: now.AddDate(0, 0, -days)}, Running: running}
	}
	runs := []*Run{run("a", 9, true), run("a", 8, false), run("b", 7, false), run("a", 4, false), run("a", 3, false), run("a", 1, false)}
	for _, c := range []struct {
		before time.Time
		last   int
		want   string
	}{
		{time.Time{}, 0, ""},
		{now.AddDate(0, 0, -4), 0, "a8"},
		{now, 0, "a8 a4 a3"}, // the last ones of a and b stay
		{time.Time{}, 2, "a8 a4"},
		{time.Time{}, 9, ""},
	} {
		var got []string
		for _, r := range Old(runs, c.before, c.last) {
			got = append(got, r.Run)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("before %v, last %d: %q, want %q", c.before, c.last, text, c.want)
		}
	}
}

// What a resume goes on with is kept, however many runs came after it that it does not look at.
func TestOldKeepsWhatIsResumed(t *testing.T) {
	now := time.Now()
	run := func(id, verb string, end *End) *Run {
		return &Run{Begin: Begin{Run: id, Verb: verb, Ensemble: "lab", Time: now.AddDate(0, 0, -100)}, End: end}
	}
	refused := &End{ExitCode: 7}
	runs := []*Run{run("1", "apply", &End{}), run("2", "apply", nil), run("3", "stop", refused), run("4", "keys rotate", &End{Changes: 3}), run("5", "apply", refused)}
	var got []string
	for _, r := range Old(runs, now, 0) {
		got = append(got, r.Run)
	}
	if text := strings.Join(got, " "); text != "1 3 4" {
		t.Errorf("removed %s; the run to be resumed is 2, the last one 5", text)
	}
}

func TestFollower(t *testing.T) {
	state := t.TempDir()
	now := time.Now().UTC().Truncate(time.Second)
	if none, err := (&Follower{State: state}).Next(); err != nil || len(none) != 0 {
		t.Errorf("nothing is there: %v, %v", none, err)
	}
	f := &Follower{State: state, Ensemble: "lab"}
	next := func(want string) {
		t.Helper()
		lines, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines {
			kind, _, _ := strings.Cut(strings.SplitAfter(string(l.Text), `"kind":"`)[1], `"`)
			got = append(got, l.Run.Run+" "+kind)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	type event struct {
		Time time.Time `json:"time"`
		Kind string    `json:"kind"`
	}
	first, err := Create(state, begin("a", now, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Create(state, begin("b", now.Add(2*time.Second), 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Write(event{now.Add(3 * time.Second), "change"}, false)
	next("a begin, b begin, a change")
	next("")
	second.End(End{Time: now.Add(5 * time.Second)})
	first.Write(event{now.Add(4 * time.Second), "note"}, false)
	next("a note, b end")
	// A line that is half there, and then whole.
	file, err := os.OpenFile(filepath.Join(state, "lab/audit/a.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteString(`{"time":"2026-01-01T00:00:00Z",`)
	next("")
	file.WriteString(`"kind":"warning"}` + "\n")
	next("a warning")
}
