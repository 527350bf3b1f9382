package preflight

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p, ok := Find(program)
	if !ok {
		t.Fatalf("no program %s", program)
	}
	if code := p(args, &stdout, &stderr); code != 0 {
		t.Errorf("%s %v: exit code %d: %s", program, args, code, stderr.String())
	}
	return stdout.String()
}

// port is one that was free a moment ago.
func port(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Three members find one another, whoever comes first, and wait for the one that serves already and comes last.
func TestProbePeers(t *testing.T) {
	names := []string{"a", "b", "c"}
	ports := []int{port(t), port(t), port(t)}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	out := make([]string, 3)
	var group sync.WaitGroup
	for i, name := range names {
		args := []string{"-name", name, "-grace", "60s", "-listen", fmt.Sprintf("127.0.0.1:%d", ports[i]), "-resolve", "localhost"}
		for j, peer := range names {
			if i != j {
				args = append(args, "-peer", fmt.Sprintf("%s=127.0.0.1:%d", peer, ports[j]))
			}
		}
		args = append(args, "-serving", "d="+server.Addr().String())
		group.Go(func() { out[i] = run(t, "probe-peers", args...) })
	}
	late := []string{"-name", "d", "-grace", "60s"}
	for i, name := range names {
		conn, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		late = append(late, "-peer", fmt.Sprintf("%s=127.0.0.1:%d", name, ports[i]))
	}
	if text := run(t, "probe-peers", late...); strings.Count(text, " ok\n") != 3 {
		t.Errorf("d:\n%s", text)
	}
	group.Wait()
	for i, text := range out {
		if strings.Count(text, " ok\n") != 4 || !strings.Contains(text, "peers.name\t=localhost ") ||
			!strings.Contains(text, fmt.Sprintf("peers.listen\t=127.0.0.1:%d ok\n", ports[i])) {
			t.Errorf("%s:\n%s", names[i], text)
		}
	}
}

func TestProbePeersFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() {
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, "SSH-2.0-somebody else")
			conn.Close()
		}
	}()
	free := port(t)
	out := run(t, "probe-peers", "-name", "a", "-grace", "300ms", "-listen", taken.Addr().String(),
		"-peer", fmt.Sprintf("b=127.0.0.1:%d", free), "-peer", "c="+taken.Addr().String(), "-peer", "d=no.such.host.invalid:1",
		"-serving", fmt.Sprintf("e=127.0.0.1:%d", free))
	for _, want := range []string{
		fmt.Sprintf("peers.listen\t=%s in use\n", taken.Addr()),
		fmt.Sprintf("peers.reach\t=b 127.0.0.1:%d refused\n", free),
		fmt.Sprintf("peers.reach\t=c %s other\n", taken.Addr()),
		fmt.Sprintf("peers.reach\t=e 127.0.0.1:%d refused\n", free),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var b bytes.Buffer
	p, _ := Find("probe-peers")
	for _, args := range [][]string{{}, {"-name", "a b"}, {"-name", "a", "-peer", "b"}, {"-fly"}} {
		if code := p(args, &b, &b); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// What a run that was killed has left on a host is no obstacle for the next one: it ends when nobody reads it any more, and
// the next waits for its port.
func TestProbePeersOfKilledRun(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	own := fmt.Sprintf("127.0.0.1:%d", port(t))
	args := []string{"-name", "a", "-grace", "10m", "-listen", own, "-peer", fmt.Sprintf("b=127.0.0.1:%d", port(t))}
	ended := make(chan error, 1)
	go func() { ended <- probePeers(args, write) }()
	said := make([]byte, 100)
	n, err := read.Read(said) // the port is open
	if got := string(said[:n]); err != nil || got != "peers.listen\t="+own+" ok\n" {
		t.Fatalf("%q, %v", got, err)
	}
	var next sync.WaitGroup
	var out string
	next.Go(func() { out = run(t, "probe-peers", "-name", "a", "-grace", "10m", "-listen", own) })
	read.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if next.Wait(); !strings.Contains(out, own+" ok\n") {
		t.Errorf("the next one:\n%s", out)
	}
}

func TestProbeDisk(t *testing.T) {
	dir := t.TempDir()
	out := run(t, "probe-disk", "-for", "1ms", dir, dir+"/none")
	var n, median, high, worst int
	var path string
	if _, err := fmt.Sscanf(out, "disk.sync\t=%d %d %d %d %s\n", &n, &median, &high, &worst, &path); err != nil || n < 1 || median > high || high > worst || path != dir {
		t.Errorf("%q: %v", out, err)
	}
	if !strings.Contains(out, "disk.failed\t="+dir+"/none ") {
		t.Errorf("%q", out)
	}
}
