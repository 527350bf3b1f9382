package remote

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Fake is a Host for tests of those who use hosts. It records what it is asked
// to do and answers as told; a command that nothing answers fails.
type Fake struct {
	HostName string

	// OnRun answers commands that no Expect matches; ok false fails them. It may
	// be nil.
	OnRun func(cmd Command) (res Result, err error, ok bool)

	// OnUpload may fail uploads. It may be nil.
	OnUpload func(file File) error

	mu       sync.Mutex
	expected map[string][]answer
	commands []Command
	files    map[string]File
}

type answer struct {
	res Result
	err error
}

// NewFake returns a host that fails every command.
func NewFake(name string) *Fake { return &Fake{HostName: name} }

// Expect queues an answer for the next command with the label. An ExitCode
// other than 0 comes with an *ExitError.
func (f *Fake) Expect(label string, res Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.expected == nil {
		f.expected = make(map[string][]answer)
	}
	a := answer{res: res}
	if res.ExitCode != 0 {
		a.err = &ExitError{Host: f.HostName, Step: label, Code: res.ExitCode, Stderr: lastLines(res.Stderr)}
	}
	f.expected[label] = append(f.expected[label], a)
}

// Name implements Host.
func (f *Fake) Name() string { return f.HostName }

// Run implements Host.
func (f *Fake) Run(ctx context.Context, cmd Command) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{ExitCode: -1}, err
	}
	f.mu.Lock()
	f.commands = append(f.commands, cmd)
	queue := f.expected[cmd.Label]
	if len(queue) > 0 {
		f.expected[cmd.Label] = queue[1:]
		f.mu.Unlock()
		return queue[0].res, queue[0].err
	}
	f.mu.Unlock()
	if f.OnRun != nil {
		if res, err, ok := f.OnRun(cmd); ok {
			return res, err
		}
	}
	return Result{ExitCode: -1}, fmt.Errorf("%s: the fake host was not told how to answer %q", f.HostName, cmd.Label)
}

// Upload implements Host.
func (f *Fake) Upload(ctx context.Context, file File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.OnUpload != nil {
		if err := f.OnUpload(file); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.files = make(map[string]File)
	}
	file.Content = slices.Clone(file.Content)
	f.files[file.Path] = file
	return nil
}

// Close implements Host.
func (f *Fake) Close() error { return nil }

// Commands returns what was run, in order.
func (f *Fake) Commands() []Command {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

// File returns the last upload to a path.
func (f *Fake) File(path string) (File, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[path]
	return file, ok
}

// Uploads returns the paths uploaded to, sorted.
func (f *Fake) Uploads() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var paths []string
	for p := range f.files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// Counter passes everything to a Host and counts it.
type Counter struct {
	Host
	reads, writes, uploads atomic.Int64
}

// Count wraps a host.
func Count(h Host) *Counter { return &Counter{Host: h} }

// Run implements Host.
func (c *Counter) Run(ctx context.Context, cmd Command) (Result, error) {
	if cmd.ReadOnly {
		c.reads.Add(1)
	} else {
		c.writes.Add(1)
	}
	return c.Host.Run(ctx, cmd)
}

// Upload implements Host.
func (c *Counter) Upload(ctx context.Context, file File) error {
	c.uploads.Add(1)
	return c.Host.Upload(ctx, file)
}

// Reads is the number of commands that were declared read-only.
func (c *Counter) Reads() int { return int(c.reads.Load()) }

// Writes is the number of other commands and of uploads.
func (c *Counter) Writes() int { return int(c.writes.Load() + c.uploads.Load()) }
