package provisionbench

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/zkctl/zkctl/remote/sshtest"
)

// The test binary is also the first process of a host, and of the namespace around all hosts.
const (
	initName    = "zkctl-bench-init"
	insideTheNS = "ZKCTL_BENCH_INSIDE"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == initName {
		if err := hostInit(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "host:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// inside runs the test again in namespaces of its own, network among them, and reports whether this is there. What hosts
// need is missing on some machines; then the test is skipped.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideTheNS) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIP: hosts in namespaces need root")
	}
	for _, program := range []string{"ip", "nsenter", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP: hosts in namespaces need the program %s", program)
		}
	}
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "0"}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), insideTheNS+"=1", "TMPDIR="+os.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&said, verbose()), os.Stderr
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("SKIP: the machine does not allow namespaces")
	case err != nil && testing.Verbose():
		t.Fatalf("inside: %v (see above)", err)
	case err != nil:
		t.Fatalf("inside: %v\n%s", err, said.String())
	case strings.Contains(said.String(), "SKIP: "):
		_, reason, _ := strings.Cut(said.String(), "SKIP: ")
		reason, _, _ = strings.Cut(reason, "\n")
		t.Skip("SKIP: " + reason)
	}
	return false
}

func verbose() io.Writer {
	if testing.Verbose() {
		return os.Stdout
	}
	return io.Discard
}

// world are hosts that see one another and this process.
type world struct {
	t     testing.TB
	dir   string
	hosts []*host
	// key is the private key with which all of them let root in.
	key string
}

type host struct {
	name, address string
	pid           int
	server        *sshtest.Server
}

// newWorld makes bare hosts m1, m2, ... with the addresses 10.97.0.1 and so on.
func newWorld(t testing.TB, count int) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("SKIP: the machine does not allow mounts: %v", err)
	}
	w.mount("tmpfs", w.dir, "tmpfs", 0, "mode=0755")
	t.Cleanup(func() { syscall.Unmount(w.dir, syscall.MNT_DETACH) })
	w.ip("link set lo up")
	// This namespace is the hosts' router: with one network, the kernel's table of neighbours were too small for a hundred.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		t.Skipf("SKIP: %v", err)
	}
	file, public := sshtest.WriteKey(t, "")
	w.key = file
	for i := range count {
		w.hosts = append(w.hosts, w.start(i+1, public))
	}
	return w
}

func (w *world) mount(source, target, kind string, flags uintptr, data string) {
	w.t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		w.t.Fatalf("mount %s: %v", target, err)
	}
}

func (w *world) ip(words string) {
	w.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		w.t.Skipf("SKIP: ip %s: %v: %s", words, err, out)
	}
}

const router = "10.97.255.254"

// start boots a host and its SSH server.
func (w *world) start(n int, public ssh.PublicKey) *host {
	t := w.t
	t.Helper()
	h := &host{name: fmt.Sprintf("m%d", n), address: fmt.Sprintf("10.97.%d.%d", n/200, n%200+1)}
	dir := filepath.Join(w.dir, h.name)
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{initName, dir, h.name}, Stderr: os.Stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	booted, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	life, err := cmd.StdinPipe() // its end is the host's
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		life.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	h.pid = cmd.Process.Pid
	line := make([]byte, 64)
	if n, _ := booted.Read(line); string(line[:n]) != "up\n" {
		t.Fatalf("%s: does not boot", h.name)
	}
	end := fmt.Sprintf("v%d", n)
	t.Cleanup(func() { exec.Command("ip", "link", "del", end).Run() }) // it may have gone with the host
	w.ip(fmt.Sprintf("link add %s type veth peer name eth0 netns %d", end, h.pid))
	w.ip("addr add " + router + "/32 dev " + end)
	w.ip("link set " + end + " up")
	w.ip("route add " + h.address + "/32 dev " + end + " src " + router)
	h.enter("ip link set lo up && ip addr add "+h.address+"/32 dev eth0 && ip link set eth0 up && ip route add "+router+" dev eth0 && ip route add default via "+router, t)

	key := sshtest.NewKey(t)
	root := fmt.Sprintf("/proc/%d/root", h.pid)
	authorized := filepath.Join(root, "root/.ssh/authorized_keys")
	write(t, filepath.Join(root, "etc/ssh/ssh_host_ed25519_key.pub"), string(ssh.MarshalAuthorizedKey(key.PublicKey())), 0o644)
	write(t, authorized, string(ssh.MarshalAuthorizedKey(public)), 0o600)
	h.server = sshtest.Start(t, sshtest.Options{
		Listener: h.listen(t, 22), HostKeys: []ssh.Signer{key}, Authorized: authorized, Command: h.command, NoSFTP: true, NoSCP: true,
	})
	return h
}

func write(t testing.TB, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// command runs a command line in the host, by its /bin/sh, as sshd would for root.
func (h *host) command(line string) *exec.Cmd {
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(h.pid), "-m", "-n", "-p", "-u", "-i", "-r", "-w/root", "--", "/bin/sh", "-c", line)
	cmd.Env = []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

func (h *host) enter(line string, t testing.TB) string {
	t.Helper()
	out, err := h.command(line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", h.name, line, err, out)
	}
	return string(out)
}

// listen opens a port in the host's network.
func (h *host) listen(t testing.TB, port int) net.Listener {
	t.Helper()
	type opened struct {
		net.Listener
		error
	}
	done := make(chan opened)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and with it its being there
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", h.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			done <- opened{nil, err}
			return
		}
		l, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
		done <- opened{l, err}
	}()
	o := <-done
	if o.error != nil {
		t.Fatalf("%s: listen: %v", h.name, o.error)
	}
	return o.Listener
}

// hostInit is process 1 of a host: it makes the root directory, tells that it is up, and then reaps what ends, until
// standard input does.
func hostInit(dir, name string) error {
	root := filepath.Join(dir, "root")
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE, ""},
		{"overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", dir, dir)},
		{"proc", root + "/proc", "proc", 0, ""},
		{"/sys", root + "/sys", "", syscall.MS_BIND | syscall.MS_REC, ""},
		{"/dev", root + "/dev", "", syscall.MS_BIND | syscall.MS_REC, ""},
		{"tmpfs", root + "/run", "tmpfs", 0, "mode=0755"},
		{"tmpfs", root + "/tmp", "tmpfs", 0, "mode=1777"},
		{"tmpfs", root + "/root", "tmpfs", 0, "mode=0700"},
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return err
	}
	if err := errors.Join(os.Chdir("/"), syscall.Sethostname([]byte(name)), undress(name)); err != nil {
		return err
	}
	fmt.Println("up")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for { // what is left without a parent comes here
		if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
			syscall.Pause()
		}
	}
}

// undress takes away what the machine has that a bare host has not: a ZooKeeper, its user, and the machine's identity.
func undress(name string) error {
	var errs []error
	for _, p := range []string{"/etc/zookeeper", "/var/lib/zookeeper", "/var/log/zookeeper", "/opt/zookeeper", "/var/lib/zkctl", "/etc/profile.d/zookeeper.sh", "/etc/init.d/zookeeper"} {
		err := os.RemoveAll(p)
		for try := 0; err != nil && try < 5; try++ { // the machine itself may be writing there just now
			err = os.RemoveAll(p)
		}
		errs = append(errs, err)
	}
	keys, _ := filepath.Glob("/etc/ssh/ssh_host_*")
	for _, k := range keys {
		errs = append(errs, os.Remove(k))
	}
	for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // shadow files are not everywhere
		}
		var kept strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "zookeeper:") {
				kept.WriteString(line)
			}
		}
		errs = append(errs, os.WriteFile(file, []byte(kept.String()), 0o644))
	}
	var id [16]byte
	rand.Read(id[:])
	hosts := "127.0.0.1\tlocalhost\n127.0.1.1\t" + name + ".localdomain\t" + name + "\n"
	return errors.Join(append(errs, os.WriteFile("/etc/machine-id", []byte(hex.EncodeToString(id[:])+"\n"), 0o644),
		os.WriteFile("/etc/hosts", []byte(hosts), 0o644), os.WriteFile("/etc/hostname", []byte(name+"\n"), 0o644))...)
}
