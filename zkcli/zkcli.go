// Package zkcli is Apache ZooKeeper's zkCli.sh without a JVM: the same options and commands, the same output, errors and
// exit codes (org.apache.zookeeper.ZooKeeperMain of 3.8.0, with what 3.9 added), so that hands and scripts that know the one
// can use the other.
//
// With a command it runs that and exits; else it reads commands from stdin, with history and completion if that is a
// terminal. Where the text of an error names a class of Java, that is what scripts have learned to look for.
//
// What differs: of an exception that nothing catches there is the message and no stack trace, and on a terminal it does not
// end the shell; a request fails when each of the servers has been tried, not just one; a line that is but a quote repeats
// nothing; what fails of a TLS handshake is told on stderr; the list of commands has exit and the options of 3.9.
package zkcli

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// options are what stands before the command.
type options struct {
	server   string
	timeout  string // ms
	readOnly bool
	wait     bool
	config   string // a properties file
	word     string // a four-letter word to send instead of anything else
	version  string // of this program
}

// parseOptions splits the arguments into options and a command. Words with a dash that it does not know are ignored, as
// zkCli.sh does; so is an option without its value, after a complaint.
//
// -default-server and -four-letter-word are for the scripts that zkctl installs.
func parseOptions(args []string, stderr io.Writer) (options, []string) {
	o := options{server: "localhost:2181", timeout: "30000"}
	values := map[string]*string{
		"-server": &o.server, "-default-server": &o.server, "-timeout": &o.timeout, "-client-configuration": &o.config,
		"-four-letter-word": &o.word,
	}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name := args[0]
		args = args[1:]
		if value, ok := values[name]; !ok {
			o.readOnly = o.readOnly || name == "-r"
			o.wait = o.wait || name == "-waitforconnection"
		} else if len(args) > 0 {
			*value, args = args[0], args[1:]
		} else {
			fmt.Fprintf(stderr, "Error: no argument found for option %s\n", name)
		}
	}
	return o, args
}

// Run is the program, of the version and with the arguments given; it returns its exit code. Signals are left to the system.
func Run(version string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, command := parseOptions(args, stderr)
	o.version = version
	if o.word != "" {
		return fourLetterWord(o, stdout, stderr)
	}
	s := newShell(o, stdout, stderr)
	defer s.leave()
	fmt.Fprintf(stdout, "Connecting to %s\n", o.server)
	if !s.report(s.connect(o.server)) {
		return s.code
	}
	if len(command) > 0 {
		s.execute(command)
		return s.code
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
