//go:build bench

package provisionbench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	hostCounts = flag.String("hosts", "3,9,100", "how many hosts; up to labMost are test hosts, more are namespaces")
	delays     = flag.String("delays", "0,20,100", "round trips of the line to the hosts, in milliseconds")
	rounds     = flag.Int("rounds", 1, "how often everything is measured; the table has medians")
)

const (
	// labNumber keeps the hosts apart from those of people (0), of the other benchmark (8) and of the end-to-end tests (9).
	labNumber = "7"
	// labMost is how many test hosts a small machine carries.
	labMost = 20
	// voters is how many members of a larger ensemble vote.
	voters = 9
)

// figures are those of one number of hosts and one delay.
type figures struct {
	hosts, delay  int
	first, again  []run
	theirs, theyB []time.Duration // Ansible's first run, and the next one
	// What a test host computed in the runs, on average.
	firstCPU, againCPU, theirCPU, theyBCPU []time.Duration
}

// TestProvision measures zkctl, and Ansible beside it, and prints a table.
func TestProvision(t *testing.T) {
	program, err := ensemble.CtlBinary()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(insideTheNS) == "" {
		fmt.Printf("Measured on %s with %d cores, %s, load average %s; medians of %d.\n\n| hosts | round trip | bootstrap of bare hosts | Ansible | ratio | bootstrap again | Ansible | ratio | round trips | memory of zkctl | CPU of a host | Ansible |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
			time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), kernel(), load(), *rounds)
	}
	large := false
	for _, hosts := range numbers(t, *hostCounts) {
		if hosts > labMost {
			large = true
			continue
		}
		if os.Getenv(insideTheNS) == "" {
			for _, delay := range numbers(t, *delays) {
				if !benchLab(t, program, hosts, delay) {
					break
				}
			}
		}
	}
	if large && inside(t) {
		for _, hosts := range numbers(t, *hostCounts) {
			if hosts > labMost {
				benchNamespaces(t, program, hosts)
			}
		}
	}
}

func numbers(t *testing.T, list string) []int {
	t.Helper()
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease") // without it the report lacks a detail
	return "Linux " + strings.TrimSpace(string(text))
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg") // as above
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// benchNamespaces measures zkctl alone.
func benchNamespaces(t *testing.T, program string, count int) {
	for _, delay := range numbers(t, *delays) {
		f := figures{hosts: count, delay: delay}
		for range *rounds {
			t.Run(fmt.Sprintf("%d hosts %d ms", count, delay), func(t *testing.T) {
				w := newWorld(t, count)
				via := map[string]string{}
				for _, h := range w.hosts {
					if delay > 0 {
						via[h.address] = "127.98" + strings.TrimPrefix(h.address, "10.97")
						relay(t, via[h.address], h.address, []int{22, 2181}, time.Duration(delay)*time.Millisecond)
					}
				}
				// A hundred hosts log in to one another 19,800 times, which is a benchmark of ssh.
				file := w.inventory(voters, via, ", ssh_keys: leave")
				f.first = append(f.first, zkctl(t, program, "bootstrap", "-v", "--parallel", "25", file))
				f.again = append(f.again, zkctl(t, program, "bootstrap", "-v", "--parallel", "25", file))
			})
		}
		if len(f.first) > 0 {
			f.print()
		}
	}
}

// benchLab measures both on test hosts that are made anew for each of them. It reports false where there can be none.
func benchLab(t *testing.T, program string, count, delay int) bool {
	root, err := ensemble.Root()
	if err != nil {
		t.Fatal(err)
	}
	lab := func(args ...string) ([]byte, error) {
		cmd := exec.Command(filepath.Join(root, "lab", "lab.sh"), args...)
		cmd.Env = append(os.Environ(), "ZKCTL_LAB="+labNumber)
		return cmd.CombinedOutput()
	}
	defer lab("down") // what is left behind shows in the next up
	f := figures{hosts: count, delay: delay}
	possible := true
	fresh := func(t *testing.T) {
		t.Helper()
		out, err := lab("fresh", strconv.Itoa(count))
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 77 {
			possible = false
			fmt.Println(lastLine(string(out))) // SKIP: and why
			t.Skip()
		}
		if err != nil {
			t.Fatalf("test hosts: %v\n%s", err, out)
		}
	}
	for range *rounds {
		t.Run(fmt.Sprintf("%d hosts %d ms", count, delay), func(t *testing.T) {
			fresh(t)
			out := filepath.Join(root, "lab", "out-"+labNumber)
			members := labMembers(t, count, delay)
			file := writeLabInventory(t, out, members)
			f.firstCPU = append(f.firstCPU, hostCPU(t, func() { f.first = append(f.first, zkctl(t, program, "bootstrap", "-v", file)) }))
			f.againCPU = append(f.againCPU, hostCPU(t, func() { f.again = append(f.again, zkctl(t, program, "bootstrap", "-v", file)) }))
			if _, err := exec.LookPath("ansible-playbook"); err != nil {
				fmt.Println("SKIP: no ansible-playbook here (Debian: ansible-core)")
				return
			}
			fresh(t)
			a := newAnsible(t, root, out, members)
			f.theirCPU = append(f.theirCPU, hostCPU(t, func() { f.theirs = append(f.theirs, a.play(t, true)) }))
			f.theyBCPU = append(f.theyBCPU, hostCPU(t, func() { f.theyB = append(f.theyB, a.play(t, false)) }))
			a.hangUp()
		})
	}
	if len(f.first) > 0 {
		f.print()
	}
	return possible
}

// hostCPU is what a test host computes during f, on average: all processes in its control group, those of its systemd and
// server included.
func hostCPU(t *testing.T, f func()) time.Duration {
	t.Helper()
	used := func() (sum time.Duration, hosts int) {
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			files, _ := filepath.Glob(root + "/zkctl-lab/" + labNumber + "-*/cpu.stat")
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var micros int64
				fmt.Sscanf(string(text), "usage_usec %d", &micros)
				sum += time.Duration(micros) * time.Microsecond
				hosts++
			}
		}
		return sum, hosts
	}
	before, _ := used()
	f()
	after, hosts := used()
	return (after - before) / time.Duration(max(1, hosts))
}

// labMember is a test host: its name, its address, and the one by which it is reached from here.
type labMember struct{ name, address, via string }

func labMembers(t *testing.T, count, delay int) []labMember {
	var all []labMember
	for i := range count {
		m := labMember{name: "master", address: fmt.Sprintf("10.99.%s.%d", labNumber, 11+i)}
		if i > 0 {
			m.name = fmt.Sprintf("slave%d", i)
		}
		m.via = m.address
		if delay > 0 {
			m.via = fmt.Sprintf("127.98.%s.%d", labNumber, 11+i)
			relay(t, m.via, m.address, []int{22, 2181}, time.Duration(delay)*time.Millisecond)
		}
		all = append(all, m)
	}
	return all
}

func writeLabInventory(t *testing.T, out string, members []labMember) string {
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "name: bench\nssh: {user: root, config: none, identity_files: [%s/id_ed25519], agent: false, host_key_policy: accept-new, known_hosts: [%s/known_hosts]}\nhosts:\n", out, dir)
	for i, m := range members {
		fmt.Fprintf(&b, "  - {name: %s, id: %d, address: %s, peer_address: %s}\n", m.name, i+1, m.via, m.address)
	}
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ansible is what an ansible-playbook needs, in a directory of its own.
type ansible struct {
	dir  string
	args []string
	env  []string
}

func newAnsible(t *testing.T, root, out string, members []labMember) *ansible {
	dir, err := os.MkdirTemp("", "zkb") // sockets below it have long names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	archive := filepath.Join(dir, "server.tar.gz")
	if err := os.Symlink("zkserver", filepath.Join(dir, "zkcli")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-czf", archive, "-C", filepath.Join(root, "bin"), "zkserver", "-C", dir, "zkcli").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	var hosts strings.Builder
	hosts.WriteString("[ensemble]\n")
	for i, m := range members {
		fmt.Fprintf(&hosts, "%s ansible_host=%s peer=%s id=%d\n", m.name, m.via, m.address, i+1)
	}
	fmt.Fprintf(&hosts, "[ensemble:vars]\nansible_user=root\nansible_ssh_private_key_file=%s/id_ed25519\n", out)
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(hosts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(root, "test", "provisionbench", "testdata", "ansible")
	return &ansible{dir: dir,
		args: []string{"-i", filepath.Join(dir, "hosts"), "-e", "archive=" + archive + " release=1", filepath.Join(here, "playbook.yml")},
		env: append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(here, "ansible.cfg"), "ANSIBLE_HOME="+dir, "ANSIBLE_LOCAL_TEMP="+dir+"/tmp",
			"ANSIBLE_SSH_CONTROL_PATH_DIR="+dir+"/cp", "HOME="+dir, "ANSIBLE_NOCOLOR=1"),
	}
}

// play runs the playbook and returns how long it took. The first run must change hosts, later ones must not.
func (a *ansible) play(t *testing.T, first bool) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ansible-playbook", a.args...)
	cmd.Env = a.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		t.Fatalf("ansible-playbook: %v\n%s", err, out.String())
	}
	if quiet := !strings.Contains(strings.ReplaceAll(out.String(), "changed=0 ", ""), "changed="); quiet == first {
		t.Fatalf("ansible-playbook, first run %v:\n%s", first, out.String())
	}
	return took
}

// hangUp ends the connections that Ansible keeps.
func (a *ansible) hangUp() {
	sockets, _ := filepath.Glob(a.dir + "/cp/*")
	for _, s := range sockets {
		exec.Command("ssh", "-O", "exit", "-o", "ControlPath="+s, "any").Run() // one that has ended needs no ending
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// print prints the line of the table.
func (f figures) print() {
	ours := func(runs []run) time.Duration {
		var all []time.Duration
		for _, r := range runs {
			all = append(all, r.elapsed)
		}
		return middle(all)
	}
	trips := func(runs []run) int {
		most := 0
		for _, r := range runs {
			most = max(most, r.trips)
		}
		return most
	}
	var memory int64
	for _, r := range slices.Concat(f.first, f.again) {
		memory = max(memory, r.rss)
	}
	beside := func(ours time.Duration, theirs []time.Duration) string {
		if len(theirs) == 0 {
			return "– | –"
		}
		return fmt.Sprintf("%.1f s | %.1f", middle(theirs).Seconds(), middle(theirs).Seconds()/ours.Seconds())
	}
	cpu := func(first, again []time.Duration) string {
		if len(first) == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f s, then %.2f s", middle(first).Seconds(), middle(again).Seconds())
	}
	first, again := ours(f.first), ours(f.again)
	fmt.Printf("| %d | %d ms | %.2f s | %s | %.2f s | %s | %d, then %d | %d MiB | %s | %s |\n", f.hosts, f.delay,
		first.Seconds(), beside(first, f.theirs), again.Seconds(), beside(again, f.theyB), trips(f.first), trips(f.again), memory>>20,
		cpu(f.firstCPU, f.againCPU), cpu(f.theirCPU, f.theyBCPU))
}

func middle(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
