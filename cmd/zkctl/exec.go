package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

func execCommand() *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command on the hosts, all at once", ArgsUsage: "-- COMMAND [ARG...]",
		Description: `What each host says stands behind its name, in inventory order. A single word is script for /bin/sh. Exit code 1 if the command
fails somewhere, 5 where a host cannot be reached. No lock is taken; the command line is in the audit trail.

   zkctl exec -- uptime
   zkctl exec --limit '!leader' --root -- 'df -h /var/lib/zookeeper | tail -n 1'
   zkctl exec --json -- cat /etc/os-release`,
		Flags: flagsFor(hostFlags(), dryRunFlag(), limitFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "root", Usage: "as root, by sudo or doas where we log in as somebody else"},
		}),
		Action: runExec,
	}
}

func runExec(c *cli.Context) error {
	words := c.Args().Slice()
	if len(words) == 0 {
		return usage("exec needs a command: zkctl exec -- uptime")
	}
	op, err := openFlagged(c)
	if err != nil {
		return err
	}
	script := words[0]
	if len(words) > 1 {
		script = shell.Join(words...)
	}
	return op.askHosts(true, func(ctx context.Context, run *provision.Run) ([]provision.Ran, error) {
		return run.Exec(ctx, remote.Command{Label: "run " + strings.Join(words, " "), Script: script, Root: c.Bool("root")})
	})
}

func logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show the last lines of the members' logs", ArgsUsage: "[INVENTORY]",
		Description: `From the journal, or the file in which the server logs, wherever that is on each host.

   zkctl logs
   zkctl logs --limit leader --lines 200`,
		Flags: flagsFor(hostFlags(), limitFlags(), []cli.Flag{
			&cli.IntFlag{Name: "lines", Value: 20, Usage: "the last `N` lines of each"},
		}),
		Action: one(func(op *operation) error {
			if op.Int("lines") < 1 {
				return usage("--lines must be above 0, not %d", op.Int("lines"))
			}
			return op.askHosts(false, func(ctx context.Context, run *provision.Run) ([]provision.Ran, error) {
				return run.Logs(ctx, strconv.Itoa(op.Int("lines")))
			})
		}),
	}
}

// askHosts shows what hosts answer, behind their names. changes says that the question may change something.
func (op *operation) askHosts(changes bool, ask func(context.Context, *provision.Run) ([]provision.Ran, error)) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.look(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		if changes && !run.DryRun {
			beginTrail(op, run)
		}
		ran, err := ask(ctx, run)
		op.out.clear()
		var failed []string
		var errs []error
		for _, a := range ran {
			if a.Host == "" {
				continue
			}
			ended := (*remote.ExitError)(nil)
			if errors.As(a.Err, &ended) {
				failed = append(failed, fmt.Sprintf("%s (exit status %d)", a.Host, ended.Code))
			} else if a.Err != nil {
				errs = append(errs, a.Err)
			}
			if !op.out.json {
				prefixed(op.out.stdout, a.Host, a.Stdout)
				prefixed(op.out.stderr, a.Host, a.Stderr)
				continue
			}
			if run.DryRun && changes {
				continue
			}
			line := struct {
				Kind     string `json:"kind"`
				Host     string `json:"host"`
				ExitCode int    `json:"exit_code"`
				Stdout   string `json:"stdout"`
				Stderr   string `json:"stderr"`
				Error    string `json:"error,omitempty"`
			}{"output", a.Host, a.ExitCode, string(a.Stdout), string(a.Stderr), ""}
			if a.Err != nil && ended == nil {
				line.Error = a.Err.Error()
			}
			op.out.line(line)
		}
		if failed != nil { // what they said was shown
			errs = append(errs, fmt.Errorf("it failed on %s", strings.Join(failed, ", ")))
		}
		if errs != nil {
			return errors.Join(errs...)
		}
		return err
	})
}

// prefixed writes each line of a text behind a name.
func prefixed(w io.Writer, name string, text []byte) {
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.TrimRight(line, "\r\n"))
	}
}
