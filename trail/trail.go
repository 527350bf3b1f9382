// Package trail is the audit trail of this machine: what zkctl did to which ensemble, when, on whose behalf, and how it
// ended. Each run has a file of its own with one JSON object in a line. Lines that tell of a change are on disk before the
// run goes on, so that a run which is cut off leaves its trail as well.
//
// Nothing that an operation needs is read from here: another machine with the inventory can go on. Each host has a short
// history of its own, too.
package trail

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Begin is the first line of a run's file.
type Begin struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // "begin"
	Run  string    `json:"run"`
	Verb string    `json:"verb"`
	// Args are the words of the command line behind the program's name; Dir is where it was given.
	Args     []string `json:"args"`
	Dir      string   `json:"dir"`
	Operator string   `json:"operator"`
	PID      int      `json:"pid"`
	Version  string   `json:"version"`
	Ensemble string   `json:"ensemble"`
	// Inventory is the file, and SHA256 that of its content.
	Inventory string `json:"inventory"`
	SHA256    string `json:"inventory_sha256"`
	// Limit are the hosts to which the run was limited; empty means all.
	Limit []string `json:"limit,omitempty"`
}

// End is the last line, which a run that was cut off lacks.
type End struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // "end"
	ExitCode int       `json:"exit_code"`
	Error    string    `json:"error,omitempty"`
	Changes  int       `json:"changes"`
}

// Writer writes the trail of one run. It is safe for concurrent use; a nil Writer writes nothing.
type Writer struct {
	mu     sync.Mutex
	f      *os.File
	redact func(string) string
	failed error
}

// NewID names a run: the time, and a few random letters.
func NewID(now time.Time) string {
	return now.UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6])
}

func dirOf(state, ensemble string) string { return filepath.Join(state, ensemble, "audit") }

// Create begins the trail of a run in the state directory. redact takes secrets out of what is written.
func Create(state string, b Begin, redact func(string) string) (*Writer, error) {
	dir := dirOf(state, b.Ensemble)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, b.Run+".jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// The lock ends with the process, so it tells a run that goes on from one that was cut off. Not every file system has locks.
	syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	w := &Writer{f: f, redact: redact}
	b.Kind = "begin"
	if err := w.Write(b, true); err != nil {
		f.Close()
		return nil, err
	}
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
	return w, nil
}

// Write adds a line. With durable it is on disk when Write returns. After an error nothing more is written.
func (w *Writer) Write(line any, durable bool) error {
	if w == nil {
		return nil
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return w.failed
	}
	text := string(data)
	if w.redact != nil {
		text = w.redact(text)
	}
	if _, w.failed = w.f.WriteString(text + "\n"); w.failed == nil && durable {
		w.failed = w.f.Sync()
	}
	return w.failed
}

// End writes the last line and closes the file.
func (w *Writer) End(e End) error {
	if w == nil {
		return nil
	}
	e.Kind = "end"
	err := w.Write(e, true)
	return errors.Join(err, w.f.Close())
}

// Run is what a file says about a run as a whole.
type Run struct {
	Begin
	// End is nil for a run that goes on or was cut off.
	End *End
	// Running says that its process lives.
	Running bool
	// Lines are all lines of the file.
	Lines []json.RawMessage
	file  string
}

// Outcome is how the run ended, in a word or two.
func (r *Run) Outcome() string {
	switch {
	case r.Running:
		return "running"
	case r.End == nil:
		return "cut off"
	case r.End.ExitCode == 0:
		return "ok"
	}
	return fmt.Sprintf("failed (%d)", r.End.ExitCode)
}

// List reads the trail of an ensemble, of all ensembles if that is "", oldest run first. Files that cannot be read are left
// out: a run may be at the point of making one.
func List(state, ensemble string) ([]*Run, error) {
	if ensemble == "" {
		ensemble = "*"
	}
	files, err := filepath.Glob(filepath.Join(dirOf(state, ensemble), "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var runs []*Run
	for _, f := range files {
		if r, err := read(f); err == nil {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b *Run) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Run, b.Run)) })
	return runs, nil
}

// Find returns the run with an id, or with the only id that begins so.
func Find(state, id string) (*Run, error) {
	runs, err := List(state, "")
	if err != nil {
		return nil, err
	}
	var found []*Run
	for _, r := range runs {
		if r.Run == id {
			return r, nil
		}
		if strings.HasPrefix(r.Run, id) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("no run %s: %w", id, fs.ErrNotExist)
	}
	return nil, fmt.Errorf("%d runs begin with %s", len(found), id)
}

func read(file string) (*Run, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	r := &Run{file: file}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if !json.Valid(lines.Bytes()) {
			break // the line at which it was cut off
		}
		r.Lines = append(r.Lines, bytes.Clone(lines.Bytes()))
	}
	if len(r.Lines) == 0 {
		return nil, fmt.Errorf("%s: empty", file)
	}
	if err := json.Unmarshal(r.Lines[0], &r.Begin); err != nil || r.Kind != "begin" {
		return nil, fmt.Errorf("%s: not the trail of a run", file)
	}
	var end End
	if err := json.Unmarshal(r.Lines[len(r.Lines)-1], &end); err == nil && end.Kind == "end" {
		r.End = &end
	}
	if r.End == nil {
		r.Running = goesOn(f, r.PID)
	}
	return r, nil
}

// goesOn reports whether the run that writes a file is still there, by its lock. The id of its process alone would not do: after a
// reboot, or in another container, it may be another one's.
func goesOn(f *os.File, pid int) bool {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err {
	case nil:
		return false
	case syscall.EWOULDBLOCK:
		return true
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
