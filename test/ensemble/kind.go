package ensemble

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Kind is an implementation of the server.
type Kind int

const (
	// Zkserver is this project's server, built from the tree or named by the environment variable ZKSERVER.
	Zkserver Kind = iota
	// Apache is Apache ZooKeeper as Debian's package "zookeeper" installs it.
	Apache
)

// String is the word for reports.
func (k Kind) String() string {
	if k == Apache {
		return "apache"
	}
	return "zkserver"
}

// Against is the implementation that the tests examine: zkserver, or Apache ZooKeeper with ZKCTL_TEST_AGAINST=apache,
// which tests the tests.
func Against() Kind {
	if os.Getenv("ZKCTL_TEST_AGAINST") == "apache" {
		return Apache
	}
	return Zkserver
}

// apacheClassPath is the server with its libraries (named in the jar's manifest) and a logger that writes to stderr.
const apacheClassPath = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"

// What Debian's manifest of Apache ZooKeeper leaves out: NettyJars for TLS, servletJar for the AdminServer.
const (
	NettyJars  = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar"
	servletJar = "/usr/share/java/servlet-api.jar"
)

// ErrNoApache is returned where Apache ZooKeeper is not installed.
var ErrNoApache = errors.New("no Apache ZooKeeper here: install Debian's packages zookeeper and libslf4j-java")

// HaveApache returns nil if Apache ZooKeeper can run here, else an error that wraps ErrNoApache.
func HaveApache() error {
	for _, jar := range filepath.SplitList(apacheClassPath) {
		if _, err := os.Stat(jar); err != nil {
			return fmt.Errorf("%w (%w)", ErrNoApache, err)
		}
	}
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoApache, err)
	}
	return nil
}

// Zkcli builds a command line of Apache ZooKeeper's own Java client, as Debian installs it.
func Zkcli(server string, args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/share/zookeeper/bin/zkCli.sh", append([]string{"-server", server}, args...)...)
	cmd.Env = append(os.Environ(), "CLIENT_JVMFLAGS=-XX:TieredStopAtLevel=1") // it starts faster
	return cmd
}

// command is the process of a member with the configuration file at config.
func (k Kind) command(config string) (*exec.Cmd, error) {
	if k == Zkserver {
		binary, err := ServerBinary()
		if err != nil {
			return nil, err
		}
		return exec.Command(binary, "--config", config), nil
	}
	if err := HaveApache(); err != nil {
		return nil, err
	}
	return exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-cp", apacheClassPath+":"+NettyJars+":"+servletJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config), nil
}
