package trail

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Follower reads the lines of all runs on an ensemble as they are written; of all ensembles where that is "".
type Follower struct {
	State, Ensemble string

	files map[string]*followed
}

// followed is a file as far as it was read.
type followed struct {
	begin  Begin
	offset int64
}

// Line is one line of a run.
type Line struct {
	Run  Begin
	Text json.RawMessage
	Time time.Time
}

// Next returns the lines that were written since the last call, in the order of their times; the first call returns all. A
// line of which a part is there comes with a later call.
func (f *Follower) Next() ([]Line, error) {
	files, err := filepath.Glob(filepath.Join(dirOf(f.State, cmp.Or(f.Ensemble, "*")), "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if f.files == nil {
		f.files = map[string]*followed{}
	}
	var lines []Line
	for _, name := range files {
		if f.files[name] == nil {
			f.files[name] = &followed{}
		}
		more, err := f.files[name].read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been pruned meanwhile
			return nil, err
		}
		lines = append(lines, more...)
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return lines, nil
}

// read returns the lines that are complete and were not read yet.
func (f *followed) read(name string) (lines []Line, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, f.offset, 1<<40))
	if err != nil {
		return nil, err
	}
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return lines, nil
		}
		line := Line{Text: data[:end]}
		if f.offset == 0 && json.Unmarshal(line.Text, &f.begin) != nil {
			return lines, nil // not a run's
		}
		f.offset += int64(end) + 1
		data = data[end+1:]
		var at struct{ Time time.Time }
		if json.Unmarshal(line.Text, &at) == nil {
			line.Run, line.Time = f.begin, at.Time
			lines = append(lines, line)
		}
	}
}
