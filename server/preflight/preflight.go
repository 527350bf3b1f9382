// Package preflight is what zkserver can find out on a host before it runs there as a member: whether the members reach one
// another by their names and ports, and how long the disk takes to make a write durable. Besides, it makes the key of a
// member there, so that it never travels.
//
// Each program prints one fact in a line, a name, a tab, an equals sign and the value, and exits with 0 whatever the facts
// are: judging them is up to who asked.
package preflight

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

var programs = map[string]func(args []string, stdout io.Writer) error{
	"probe-peers": probePeers,
	"probe-disk":  probeDisk,
	"make-key":    makeKey,
	"probe-tls":   probeTLS,
}

// Find returns the program with a name. Its result is the exit code.
func Find(name string) (program func(args []string, stdout, stderr io.Writer) int, ok bool) {
	run, ok := programs[name]
	if !ok {
		return nil, false
	}
	return func(args []string, stdout, stderr io.Writer) int {
		if err := run(args, stdout); err != nil {
			fmt.Fprintf(stderr, "zkserver %s: error: %v\n", name, err)
			return 2
		}
		return 0
	}, true
}

// words is a flag that may be repeated.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(s string) error {
	*w = append(*w, s)
	return nil
}

func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

func probeDisk(args []string, stdout io.Writer) error {
	f := flags("probe-disk")
	limit := f.Duration("for", time.Second, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("no directory: zkserver probe-disk [-for 1s] DIR [DIR ...]")
	}
	for _, dir := range f.Args() {
		d, err := measureDisk(dir, *limit)
		if err != nil {
			fmt.Fprintf(stdout, "disk.failed\t=%s %v\n", dir, err)
			continue
		}
		fmt.Fprintf(stdout, "disk.sync\t=%d %d %d %d %s\n", d.syncs, d.median.Microseconds(), d.high.Microseconds(), d.worst.Microseconds(), dir)
	}
	return nil
}
