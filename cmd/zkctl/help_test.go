package main

import (
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// The help of each command that does something shows it at work.
func TestHelpHasExamples(t *testing.T) {
	var walk func(name string, commands []*cli.Command)
	walk = func(name string, commands []*cli.Command) {
		for _, c := range commands {
			full := name + " " + c.Name
			if len(c.Subcommands) > 0 {
				walk(full, c.Subcommands)
				continue
			}
			if !strings.Contains(c.Description, full) {
				t.Errorf("%s --help has no example", full)
			}
		}
	}
	walk("zkctl", newApp(io.Discard, io.Discard).Commands)
}
