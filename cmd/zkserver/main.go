// Command zkserver is a ZooKeeper server: it reads an ordinary zoo.cfg and myid and serves until it is told to stop. Called
// by the name of zkcli it is that: hosts of an ensemble get one program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/zkctl/zkctl/server"
	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/preflight"
	"github.com/zkctl/zkctl/server/toolkit"
	"github.com/zkctl/zkctl/zkcli"
)

// version is set by the linker.
var version = "dev"

// The exit codes, as in the help text; see also server.Failure. After a second signal it is 128 and the number of the signal.
const (
	exitOK     = 0
	exitFailed = 1
	exitConfig = 2
)

const help = `usage: zkserver [--config] FILE [-Dname=value]... [--check-config] [--log-level LEVEL] [--log-format FORMAT]
       zkserver PORT DATADIR [TICKTIME] [MAXCNXNS] [-Dname=value]...

Runs a ZooKeeper server with an ordinary zoo.cfg, standalone or, with server.N lines in
it and a file myid in dataDir, as a member of an ensemble; or, without a zoo.cfg, standalone
with a client port, a data directory and the defaults.

  --config FILE        the configuration; may also be given without --config
  -Dname=value         a setting as a system property of the JVM: -Dzookeeper.snapCount=50000,
                       -Djute.maxbuffer=4194304; zoo.cfg wins where it has the same key
  --check-config       check the configuration and end: errors and warnings go to stderr
  --log-level LEVEL    info (state changes; the default) or debug (packets, too)
  --log-format FORMAT  text (the default) or json; logs go to stderr
  --version            show the version and end
  --help               show this and end

Examples:

  zkserver --config /etc/zookeeper/zoo.cfg
  zkserver --config zoo.cfg --check-config && systemctl restart zookeeper
  zkserver zoo.cfg --log-format json

The command line of a client:

  zkserver cli               zkCli.sh; a link to zkserver by the name of zkcli is the same

Programs that look at files of a server, as Apache ZooKeeper's scripts start them:

  zkserver txn-log-toolkit   zkTxnLogToolkit.sh: dumps, tests, repairs and chops a log
  zkserver snapshot-toolkit  zkSnapShotToolkit.sh: dumps and tests a snapshot
  zkserver snapshot-comparer zkSnapshotComparer.sh: compares two snapshots
  zkserver snapshot-summary  zkSnapshotRecursiveSummaryToolkit.sh: sums up a snapshot
  zkserver purge-txn-log     zkCleanup.sh: deletes old snapshots and logs
  zkserver four-letter-word  HOST PORT WORD [true]: asks a server, with true over TLS

Programs that try out a host before a server runs there, as zkctl starts them:

  zkserver probe-peers       opens a member's ports and greets those of the others
  zkserver probe-disk DIR... measures how long a synced write takes
  zkserver probe-tls HOST:PORT...
                             says which certificates are shown there
  zkserver make-key FILE     makes a private key, and beside it FILE.csr, a request for its
                             certificate; a key that is there is kept

Environment: the -D words of SERVER_JVMFLAGS and JVMFLAGS count like those of the command
line, which wins.

Under systemd (Type=notify) the unit is active when the server serves clients, or, as a
member of an ensemble, when its ports are open and it looks for a leader.

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 the command line or the
configuration was refused, and will be again; 3 a data directory cannot be used; 4 the
port of the AdminServer cannot be opened; 10 the log or a snapshot cannot be written; 14 the
election port cannot be bound; 130 or 143 left at once after a second signal.
`

// options is a command line.
type options struct {
	config string
	// standalone are PORT DATADIR [TICKTIME] [MAXCNXNS] in the place of config.
	standalone                   []string
	flags                        []string
	check, showVersion, showHelp bool
	level                        slog.Level
	json                         bool
}

// parseArgs takes flags before and after the file.
func parseArgs(args []string) (options, error) {
	var o options
	var words []string
	args = slices.DeleteFunc(slices.Clone(args), func(word string) bool {
		if config.IsFlag(word) {
			o.flags = append(o.flags, word)
		}
		return config.IsFlag(word)
	})
	var level, format string
	flags := flag.NewFlagSet("zkserver", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.config, "config", "", "")
	flags.BoolVar(&o.check, "check-config", false, "")
	flags.BoolVar(&o.showVersion, "version", false, "")
	flags.StringVar(&level, "log-level", "info", "")
	flags.StringVar(&format, "log-format", "text", "")
	for {
		if err := flags.Parse(args); err != nil {
			o.showHelp = errors.Is(err, flag.ErrHelp)
			if o.showHelp {
				return o, nil
			}
			return o, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	switch {
	case o.config == "" && len(words) == 1:
		o.config = words[0]
	case o.config == "" && 2 <= len(words) && len(words) <= 4:
		o.standalone = words
	case len(words) > 0:
		return o, fmt.Errorf("too many arguments: %s", strings.Join(words, " "))
	}
	switch level {
	case "info":
	case "debug":
		o.level = slog.LevelDebug
	default:
		return o, fmt.Errorf("--log-level is %q: give info or debug", level)
	}
	switch format {
	case "text":
	case "json":
		o.json = true
	default:
		return o, fmt.Errorf("--log-format is %q: give text or json", format)
	}
	if o.config == "" && o.standalone == nil && !o.showVersion {
		return o, errors.New("no configuration: give a file, such as --config /etc/zookeeper/zoo.cfg")
	}
	return o, nil
}

func main() {
	if args, ok := asClient(os.Args); ok {
		os.Exit(zkcli.Run(version, args, os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, stop, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// asClient reports whether this program is called as zkcli, and with which arguments.
func asClient(words []string) (args []string, ok bool) {
	if len(words) > 0 && filepath.Base(words[0]) == "zkcli" {
		return words[1:], true
	}
	if len(words) > 1 && words[1] == "cli" {
		return words[2:], true
	}
	return nil, false
}

// obey stops at the first signal and leaves at the second.
func obey(signals <-chan os.Signal, stop func(), exit func(code int)) {
	<-signals
	stop()
	second := <-signals
	exit(128 + int(second.(syscall.Signal)))
}

// run carries out one command line until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if program, ok := toolkit.Find(args[0]); ok {
			return program(args[1:], toolkit.IO{In: os.Stdin, Out: stdout, Err: stderr})
		}
		if program, ok := preflight.Find(args[0]); ok {
			return program(args[1:], stdout, stderr)
		}
	}
	o, err := parseArgs(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "zkserver: error: %v\nzkserver: hint: zkserver --help\n", err)
		return exitConfig
	case o.showHelp:
		fmt.Fprint(stdout, help)
		return exitOK
	case o.showVersion:
		fmt.Fprintln(stdout, "zkserver", version)
		return exitOK
	}
	cfg, err := o.load()
	if err != nil {
		printRefusal(stderr, err)
		return exitConfig
	}
	if o.check {
		for _, p := range cfg.Notices {
			fmt.Fprintf(stderr, "zkserver: warning: %v\n", p)
		}
		return exitOK
	}
	log := newLogger(stderr, o)
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("the server ends", "error", err)
		if failure := (*server.Failure)(nil); errors.As(err, &failure) {
			return failure.Code
		}
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}

// load reads the configuration. Of the environment it takes what zkServer.sh gives a JVM, in that order.
func (o options) load() (*config.Config, error) {
	flags := []config.Flags{
		{Source: "SERVER_JVMFLAGS", Words: strings.Fields(os.Getenv("SERVER_JVMFLAGS"))},
		{Source: "JVMFLAGS", Words: strings.Fields(os.Getenv("JVMFLAGS"))},
		{Source: "the command line", Words: o.flags},
	}
	if o.standalone != nil {
		return config.Standalone(o.standalone, flags...)
	}
	return config.Load(o.config, flags...)
}

// printRefusal prints all that is wrong with a configuration, a line for each.
func printRefusal(stderr io.Writer, err error) {
	var refused *config.Error
	if !errors.As(err, &refused) {
		fmt.Fprintf(stderr, "zkserver: error: %v\n", err)
		return
	}
	for _, p := range refused.Problems {
		fmt.Fprintf(stderr, "zkserver: error: %v\n", p)
	}
}

func newLogger(to io.Writer, o options) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.level}
	if o.json {
		return slog.New(slog.NewJSONHandler(to, opts))
	}
	return slog.New(slog.NewTextHandler(to, opts))
}

func serve(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	log.Info("starting", "version", version, "config", cfg.File, "pid", os.Getpid())
	for _, p := range cfg.Notices {
		log.Warn("configuration", "notice", p.String())
	}
	notifier := newNotifier(os.Getenv("NOTIFY_SOCKET"))
	notify := func(state string) {
		if err := notifier.send(state); err != nil {
			log.Warn("cannot tell systemd", "state", state, "error", err)
		}
	}
	told := make(chan struct{})
	running := context.AfterFunc(ctx, func() { notify("STOPPING=1"); close(told) })
	err := server.Run(ctx, cfg, server.Options{
		Version: version,
		Log:     log,
		Ready:   func() { notify("READY=1") },
	})
	if !running() {
		<-told
	}
	return err
}
