// Command zkcli is a ZooKeeper client for the command line. It takes the options and commands of Apache ZooKeeper's
// zkCli.sh and prints what that prints, so that hands and scripts that know the one can use the other.
//
// Not here: quotas, reconfiguration and the persistent watches, for which the client library has no calls.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/term"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// options are what stands before the command.
type options struct {
	server, word string
	timeout      time.Duration
	wait         bool
}

// parseOptions splits the arguments into options and a command. Like zkCli.sh it ignores words with a dash that it
// does not know.
func parseOptions(args []string) (options, []string, error) {
	o := options{server: "localhost:2181", timeout: 30 * time.Second}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := strings.TrimLeft(args[0], "-")
		args = args[1:]
		switch name {
		case "waitforconnection":
			o.wait = true
			continue
		case "server", "default-server", "timeout", "four-letter-word", "client-configuration":
			if len(args) == 0 {
				return o, nil, fmt.Errorf("-%s needs a value", name)
			}
		default:
			continue
		}
		value := args[0]
		args = args[1:]
		switch name {
		case "server", "default-server":
			o.server = value
		case "four-letter-word":
			o.word = value
		case "client-configuration":
			return o, nil, errors.New("-client-configuration (TLS, SASL) is not supported")
		case "timeout":
			ms, err := time.ParseDuration(value + "ms")
			if err != nil || ms <= 0 {
				return o, nil, fmt.Errorf("-timeout: %q is not a number of milliseconds", value)
			}
			o.timeout = ms
		}
	}
	return o, args, nil
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, command, err := parseOptions(args)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if o.word != "" {
		return fourLetterWord(o, stdout, stderr)
	}
	if len(command) > 0 && command[0] == "version" {
		fmt.Fprintf(stdout, "ZooKeeper CLI version: %s\n", version)
		return 0
	}
	s := &shell{options: o, out: stdout, err: stderr}
	s.printWatches.Store(true)
	defer s.close()
	fmt.Fprintf(stdout, "Connecting to %s\n", o.server)
	if err := s.connect(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if o.wait || len(command) > 0 {
		if err := s.waitConnected(); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
	}
	if len(command) > 0 {
		return s.execute(command)
	}
	return s.interact(stdin)
}

// fourLetterWord sends a four-letter word and prints the answer.
func fourLetterWord(o options, stdout, stderr io.Writer) int {
	conn, err := net.DialTimeout("tcp", o.server, 5*time.Second)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, o.word); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if n, err := io.Copy(stdout, conn); err != nil && n == 0 {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// shell is a session and the commands that came through it.
type shell struct {
	options
	conn         *zk.Conn
	chroot       string
	out, err     io.Writer
	printWatches atomic.Bool
	history      []string
	ended        bool
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func (s *shell) connect() error {
	s.close()
	servers := s.server
	s.chroot = ""
	if i := strings.IndexByte(servers, '/'); i >= 0 {
		servers, s.chroot = servers[:i], strings.TrimRight(servers[i:], "/")
	}
	conn, _, err := zk.Connect(strings.Split(servers, ","), s.timeout, zk.WithLogger(silent{}), zk.WithLogInfo(false))
	if err != nil {
		return fmt.Errorf("%s: %w", s.server, err)
	}
	s.conn = conn
	return nil
}

func (s *shell) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *shell) waitConnected() error {
	for deadline := time.Now().Add(s.timeout); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if s.conn.State() == zk.StateHasSession {
			return nil
		}
	}
	return complaint(fmt.Sprintf("KeeperErrorCode = ConnectionLoss: %s does not answer, or has no quorum", s.server))
}

// interact reads commands from lines until the end of input or quit.
func (s *shell) interact(stdin io.Reader) int {
	terminal := false
	if f, ok := stdin.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	fmt.Fprintln(s.out, "Welcome to ZooKeeper!")
	code := 0
	in := bufio.NewScanner(stdin)
	in.Buffer(nil, 2<<20)
	for n := 0; !s.ended; {
		if terminal {
			state := "CLOSED"
			if s.conn != nil {
				state = map[bool]string{true: "CONNECTED", false: "CONNECTING"}[s.conn.State() == zk.StateHasSession]
			}
			fmt.Fprintf(s.out, "[zk: %s(%s) %d] ", s.server, state, n)
		}
		if !in.Scan() {
			break
		}
		words := split(in.Text())
		if len(words) == 0 {
			continue
		}
		s.history = append(s.history, in.Text())
		n++
		code = s.execute(words)
	}
	return code
}

// split cuts a line into words. A word that begins with a quote runs to the next one of its kind; there are no escapes.
func split(line string) []string {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return words
		}
		end := strings.IndexAny(line, " \t")
		skip := 0
		if line[0] == '"' || line[0] == '\'' {
			quote := line[0]
			line = line[1:]
			end, skip = strings.IndexByte(line, quote), 1
		}
		if end < 0 {
			return append(words, line)
		}
		words = append(words, line[:end])
		line = line[end+skip:]
	}
}

// flags parses a command's options, which may stand anywhere after its name, and returns the other words.
func flags(set *flag.FlagSet, words []string) ([]string, error) {
	set.SetOutput(io.Discard)
	var rest []string
	for {
		if err := set.Parse(words); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, set.Arg(0))
		words = set.Args()[1:]
	}
}
