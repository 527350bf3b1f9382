package ensemble

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Member is one server of an ensemble: a directory, ports, and a process while it runs.
type Member struct {
	ID         int
	Kind       Kind
	Dir        string // zoo.cfg, data/, log
	ClientPort int

	host, clientHost       string   // of the ports of the ensemble, of the client port
	run                    []string // the words before the command
	observer, dynamic      bool
	peerPort, electionPort int
	adminPort              int
	process                atomic.Pointer[process]
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was reaped
}

// Addr is the client address.
func (m *Member) Addr() string { return net.JoinHostPort(m.clientHost, strconv.Itoa(m.ClientPort)) }

// learns is the mode of a member that does not lead.
func (m *Member) learns() string {
	if m.observer {
		return "observer"
	}
	return "follower"
}

// QuorumAddr is the address on which the member serves learners while it leads.
func (m *Member) QuorumAddr() string { return net.JoinHostPort(m.host, strconv.Itoa(m.peerPort)) }

// ElectionAddr is the address of the election port.
func (m *Member) ElectionAddr() string {
	return net.JoinHostPort(m.host, strconv.Itoa(m.electionPort))
}

// DataDir is the member's dataDir.
func (m *Member) DataDir() string { return filepath.Join(m.Dir, "data") }

// LogFile is where the member's output goes.
func (m *Member) LogFile() string { return filepath.Join(m.Dir, "log") }

func (m *Member) configure(settings Settings, servers []string) error {
	if err := os.MkdirAll(m.DataDir(), 0o755); err != nil {
		return err
	}
	lines := []string{
		fmt.Sprintf("tickTime=%d", settings.TickTime.Milliseconds()),
		"initLimit=20", "syncLimit=10",
		"dataDir=" + m.DataDir(),
		"maxClientCnxns=0",
		"4lw.commands.whitelist=*",
		fmt.Sprintf("admin.enableServer=%v", settings.Admin), "admin.serverAddress=127.0.0.1", fmt.Sprintf("admin.serverPort=%d", m.adminPort),
		"extendedTypesEnabled=true", // TTL nodes; Apache ZooKeeper takes an unknown key as a system property
	}
	if m.dynamic {
		lines = append(lines, "reconfigEnabled=true", "standaloneEnabled=false")
	} else {
		lines = append(lines, "clientPortAddress="+m.clientHost, fmt.Sprintf("clientPort=%d", m.ClientPort))
	}
	lines = append(append(lines, settings.Extra...), servers...)
	if err := os.WriteFile(filepath.Join(m.DataDir(), "myid"), fmt.Appendln(nil, m.ID), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.Dir, "zoo.cfg"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Start runs the member's process; its output is appended to the member's log. A running member stays as it is.
func (m *Member) Start() error {
	if m.Running() {
		return nil
	}
	cmd, err := m.Kind.command(filepath.Join(m.Dir, "zoo.cfg"))
	if err != nil {
		return err
	}
	if len(m.run) > 0 {
		cmd = exec.Command(m.run[0], slices.Concat(m.run[1:], cmd.Args)...)
	}
	log, err := os.OpenFile(m.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, m.Dir
	p := &process{cmd: cmd, done: make(chan struct{})}
	if err := startTied(cmd, func() {
		cmd.Wait() // the exit status of a killed server says nothing; an unexpected end shows in Running and the log
		close(p.done)
	}); err != nil {
		return fmt.Errorf("start member %d: %w", m.ID, err)
	}
	m.process.Store(p)
	return nil
}

// Running tells whether the member has a process.
func (m *Member) Running() bool {
	p := m.process.Load()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// PID is the process id, 0 if the member does not run.
func (m *Member) PID() int {
	if !m.Running() {
		return 0
	}
	return m.process.Load().cmd.Process.Pid
}

// Kill ends the member's process with SIGKILL and waits until it is gone.
func (m *Member) Kill() error { return m.end(syscall.SIGKILL) }

// Stop ends the member's process with SIGTERM and waits until it is gone.
func (m *Member) Stop() error { return m.end(syscall.SIGTERM) }

// Signal sends a signal. It waits for SIGSTOP to have its effect: threads that run go on until the kernel has told one of
// the others, long enough on a busy machine to acknowledge a proposal.
func (m *Member) Signal(s syscall.Signal) error {
	if !m.Running() {
		return fmt.Errorf("signal member %d: it does not run", m.ID)
	}
	p := m.process.Load().cmd.Process
	if err := p.Signal(s); err != nil || s != syscall.SIGSTOP {
		return err
	}
	return Until(10*time.Second, fmt.Sprintf("member %d has stopped", m.ID), func() bool { return stopped(p.Pid) })
}

// stopped tells whether no thread of a process runs (proc_pid_stat(5)).
func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			return false
		}
		_, state, _ := strings.Cut(string(text), ") ")
		if !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

func (m *Member) end(s syscall.Signal) error {
	if !m.Running() {
		return nil
	}
	p := m.process.Load()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end member %d: %w", m.ID, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("member %d still runs 20 s after %v", m.ID, s)
	}
}

// Wipe removes what a stopped member has stored, so that its next start gets everything from the leader.
func (m *Member) Wipe() error { return os.RemoveAll(filepath.Join(m.DataDir(), "version-2")) }

// Ask sends a four-letter word and returns the answer.
func (m *Member) Ask(word string) (string, error) { return Ask(m.Addr(), word) }

// Ask sends a four-letter word to a client address and returns the answer.
func Ask(addr, word string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	return ask(conn, word, 2*time.Second)
}

// AskTLS is Ask over TLS. To be let go without an answer is an error: a refusal may come after the handshake.
func AskTLS(addr, word string, cfg *tls.Config) (string, error) {
	const limit = 5 * time.Second
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: limit}, "tcp", addr, cfg)
	if err != nil {
		return "", err
	}
	answer, err := ask(conn, word, limit)
	if answer == "" && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return answer, err
}

func ask(conn net.Conn, word string, limit time.Duration) (string, error) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// AdminAddr is the address of the AdminServer, if the ensemble has them.
func (m *Member) AdminAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.adminPort)) }

// Command asks the AdminServer for a command, and returns the body of the answer.
func (m *Member) Command(name string) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get("http://" + m.AdminAddr() + "/commands/" + name)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("member %d: %s: %s", m.ID, name, r.Status)
	}
	return body, err
}

// Mode is leader, follower, observer or standalone, "" while the member does not serve.
func (m *Member) Mode() string { return m.Srvr()["Mode"] }

// Srvr is the answer to the word srvr as a map: Mode, Zxid, Node count, and so on; empty while the member does not serve.
func (m *Member) Srvr() map[string]string {
	answer, _ := m.Ask("srvr") // an error leaves an empty answer, which is what not serving means
	fields := make(map[string]string)
	for line := range strings.Lines(answer) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

// Figure is a value of mntr.
func (m *Member) Figure(name string) (string, error) {
	answer, err := m.Ask("mntr")
	if err != nil {
		return "", fmt.Errorf("member %d: %w", m.ID, err)
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, name+"\t"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("member %d: mntr has no %s", m.ID, name)
}

// LogTail is the end of the member's log.
func (m *Member) LogTail(lines int) string {
	text, err := os.ReadFile(m.LogFile())
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// LogHas tells whether the member logged the text.
func (m *Member) LogHas(text string) bool {
	log, _ := os.ReadFile(m.LogFile()) // a member that never ran has logged nothing
	return bytes.Contains(log, []byte(text))
}

// RSS is the resident memory of the member's process in bytes.
func (m *Member) RSS() (int64, error) { return m.memory("VmRSS:") }

// PeakRSS is the most that RSS has been since the process began.
func (m *Member) PeakRSS() (int64, error) { return m.memory("VmHWM:") }

func (m *Member) memory(which string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, which); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("member %d: no %s in its status", m.ID, which)
}
