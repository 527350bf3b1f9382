// Command zkctl makes bare Linux hosts a serving ZooKeeper ensemble and operates it.
//
// Each verb has a file of its own. What they do is in package provision; here are flags, output and exit codes.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/spelling"
)

// version is set by the linker.
var version = "dev"

// The exit codes, as in the help text and README.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnhealthy   = 3
	exitChanges     = 4
	exitUnreachable = 5
	exitLocked      = 6
	exitRefused     = 7
	exitPartial     = 8
	exitTimeout     = 124
	exitInterrupted = 130
)

const exitCodes = `
EXIT CODES:
   0    done, or nothing to do
   1    an operation failed
   2    wrong usage or inventory
   3    a check failed, or the ensemble is not healthy
   4    the plan has changes (plan --detailed-exitcode only)
   5    a host cannot be reached or refuses to let us in
   6    another zkctl is at work on the same ensemble; the message says whose
   7    refused by a safety gate, for example: stopping this member would lose the quorum
   8    partly done; run the same command again
   124  timed out
   130  interrupted, or not confirmed
`

var (
	errInterrupted = errors.New("interrupted")
	errTimeout     = errors.New("timed out (--timeout)")
	errDeclined    = errors.New("not confirmed: nothing was done")
	errUnhealthy   = errors.New("the ensemble is not healthy")
	errFindings    = errors.New("checks failed")
	errChanges     = errors.New("the plan has changes")
)

// usageError is a wrong command line.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }
func (e *usageError) Hint() string  { return e.hint }

func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), "zkctl --help, or zkctl COMMAND --help"}
}

// watching says that an interruption is how the command is meant to end.
var watching atomic.Bool

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		if isTerminal(os.Stderr) {
			fmt.Fprint(os.Stderr, clearLine)
		}
		if !watching.Load() {
			fmt.Fprintln(os.Stderr, "zkctl: interrupted: ending what is under way (again to leave at once)")
		}
		cancel(errInterrupted)
		<-signals
		os.Exit(exitInterrupted)
	}()
	os.Exit(carryOut(ctx, os.Args[1:]))
}

// carryOut carries out one command line, says what went wrong, and returns the exit code.
func carryOut(ctx context.Context, args []string) int {
	out := &results{file: os.Stdout}
	err := Run(ctx, args, out, os.Stderr)
	if err == nil || silentError(err) {
		err = cmp.Or(out.err, err)
	}
	report(os.Stderr, err)
	return exitCode(err)
}

// Run carries out one command line. Results go to stdout, everything else to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	app := newApp(stdout, stderr)
	commandArgs = args
	ordered, err := order(app, habitual(args))
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{"zkctl"}, ordered...))
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:  "zkctl",
		Usage: "make bare hosts a serving ZooKeeper ensemble, and operate it",
		UsageText: `zkctl inventory init 10.0.0.11 10.0.0.12 10.0.0.13 > inventory.yaml
zkctl bootstrap inventory.yaml --dry-run
zkctl bootstrap inventory.yaml
zkctl status
zkctl plan && zkctl apply        # after an edit of the inventory
zkctl rolling-restart

The inventory is the argument, else -i FILE, else $ZKCTL_INVENTORY, else ./inventory.yaml.`,
		HideVersion: true, HideHelpCommand: true, Metadata: map[string]any{},
		Writer: stdout, ErrWriter: stderr,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
		CommandNotFound: func(*cli.Context, string) {
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("no command %q", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			bootstrapCommand(), planCommand(), applyCommand(), checkCommand(), statusCommand(), rollingRestartCommand(),
			startCommand(), stopCommand(), restartCommand(), resetCommand(), resumeCommand(), execCommand(), logsCommand(), keysCommand(), certsCommand(), lockCommand(), auditCommand(),
			configCommand(), inventoryCommand(), completionCommand(), versionCommand(),
		},
	}
	app.CustomAppHelpTemplate = cli.AppHelpTemplate + exitCodes
	plain(app.Flags)
	for _, c := range app.Commands {
		plain(c.Flags)
		if c.Action == nil && len(c.Subcommands) > 0 {
			c.Action = group(c)
		}
		if c.Action != nil {
			c.Action = telling(c.Action)
		}
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		for _, sub := range c.Subcommands {
			plain(sub.Flags)
			sub.Action = telling(sub.Action)
			sub.OnUsageError = onUsageError
			sub.HideHelpCommand = true
		}
	}
	return app
}

// group is the action of a command that has only subcommands.
func group(cmd *cli.Command) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return usage("no command %s %q%s", cmd.Name, c.Args().First(), meant(c.Args().First(), subcommands(cmd)))
		}
		return cli.ShowSubcommandHelp(c)
	}
}

// plain keeps "(default: false)" out of the help.
func plain(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
		near := ""
		if c.Command != nil && (name == "limit" || name == "host") {
			return usage("there is no --%s here: %s", name, unlimited(c.Command))
		}
		if c.Command != nil {
			near = spelling.Nearest("--"+name, longFlags(c.Command))
		}
		if near != "" {
			near = "; did you mean " + near + "?"
		}
		return usage("there is no flag --%s here%s", name, near)
	}
	return usage("%v", err)
}

// unlimited says why a command cannot be limited to some hosts.
func unlimited(cmd *cli.Command) string {
	command := strings.TrimPrefix(cmd.HelpName, "zkctl ")
	switch verb, _, _ := strings.Cut(command, " "); {
	case verb == "lock":
		return "the lock is one for all hosts"
	case verb == "resume":
		return "it goes on with the hosts of the run that was cut off"
	case command == "certs client":
		return "all members let the client in"
	case command == "zkctl" || len(cmd.Subcommands) > 0:
		return "it is said to a command, such as zkctl keys list"
	}
	return command + " is about no hosts of an inventory"
}

// report writes an error and its hint.
func report(w io.Writer, err error) {
	if err == nil || silentError(err) {
		return
	}
	fmt.Fprintf(w, "zkctl: error: %s\n", message(err))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "zkctl: hint: %s\n", hint)
	}
}

// silentError reports whether the result was shown already, and err is for the exit code only.
func silentError(err error) bool {
	return errors.Is(err, errUnhealthy) || errors.Is(err, errChanges) || errors.Is(err, errFindings)
}

// message is the text of an error. That every host was interrupted is said once.
func message(err error) string {
	first, rest, more := strings.Cut(err.Error(), "\n")
	if !more || !errors.Is(err, errInterrupted) {
		return err.Error()
	}
	return fmt.Sprintf("%s (and %d more like it)", first, strings.Count(rest, "\n")+1)
}

// hintOf is what to do about an error.
func hintOf(err error) string {
	if errors.Is(err, errInterrupted) || errors.Is(err, errTimeout) {
		return "run the same command again: it goes on where this one stopped"
	}
	return remote.HintOf(err)
}

// exitCode maps an error to the documented codes.
func exitCode(err error) int {
	var (
		wrong    *usageError
		archive  *apache.Error
		problems inventory.Problems
		limit    *inventory.LimitError
		secret   *secretError
		refused  *provision.RefusedError
		drift    *provision.DriftError
		locked   *provision.LockedError
		late     *provision.NotReadyError
		missing  *certs.MissingError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted), errors.Is(err, errDeclined):
		return exitInterrupted
	case errors.Is(err, errTimeout):
		return exitTimeout
	case errors.Is(err, errLocked), errors.As(err, &locked):
		return exitLocked
	case errors.As(err, &wrong), errors.As(err, &problems), errors.As(err, &limit), errors.As(err, &secret), errors.As(err, &missing), errors.As(err, &archive):
		return exitUsage
	case provision.Partial(err):
		return exitPartial
	case errors.As(err, &refused), errors.As(err, &drift):
		return exitRefused
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.Is(err, errUnhealthy), errors.Is(err, errFindings), errors.Is(err, provision.ErrChecks):
		return exitUnhealthy
	case remote.NeverRan(err):
		return exitUnreachable
	case errors.As(err, &late):
		return exitTimeout
	}
	return exitFailed
}
