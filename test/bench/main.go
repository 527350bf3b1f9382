// Command bench measures zkserver beside Apache ZooKeeper 3.8.0 (Debian's package) on this machine in one run, and zkctl's
// bootstrap on three test hosts, and prints a Markdown table.
//
// What it does not claim: clients, members and kernel share the machine's few cores, all members share one disk, and the
// network is loopback. Ratios under equal conditions are the point, not the figures.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything is measured; the table shows medians")
	span := flag.Duration("span", 4*time.Second, "how long each load lasts")
	hosts := flag.Bool("hosts", os.Getuid() == 0, "measure bootstrap on three test hosts too (root)")
	servers := flag.Bool("servers", true, "measure the servers")
	failovers := flag.Int("failover", 0, "instead, kill the leader so many times and measure how long writes are missing")
	ticks := flag.String("ticks", "200,2000", "with which tickTimes, in milliseconds")
	flag.Parse()
	err := error(nil)
	if *failovers > 0 {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = runFailover(ctx, *failovers, *ticks)
	} else {
		err = run(*rounds, *span, *servers, *hosts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// runFailover measures failover with each tickTime, until ctx ends.
func runFailover(ctx context.Context, rounds int, ticks string) error {
	if _, err := ensemble.ServerBinary(); err != nil { // built now, not within the first start
		return err
	}
	fmt.Printf("Measured on %s with %d cores (%s), Linux %s.\n%s; %s.\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), processor(), kernel(), built(), java())
	for tick := range strings.SplitSeq(ticks, ",") {
		millis, err := strconv.Atoi(tick)
		if err != nil {
			return fmt.Errorf("tickTime: %w", err)
		}
		if err := benchFailover(ctx, rounds, time.Duration(millis)*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func run(rounds int, span time.Duration, servers, hosts bool) error {
	fmt.Printf("Measured on %s with %d cores (%s), Linux %s, %d rounds, medians.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), processor(), kernel(), rounds)
	if servers {
		fmt.Printf("%s; %s. Both sync the txn log before every answer to a write, with the same zoo.cfg and znodes of %d bytes.\n",
			built(), java(), len(payload))
	}
	fmt.Println()
	if servers {
		if err := benchServers(rounds, span); err != nil {
			return err
		}
	}
	if hosts {
		return benchBootstrap(rounds)
	}
	return nil
}

func benchServers(rounds int, span time.Duration) error {
	if _, err := ensemble.ServerBinary(); err != nil { // built now, not within the first start
		return err
	}
	kinds := []ensemble.Kind{ensemble.Zkserver, ensemble.Apache}
	if err := ensemble.HaveApache(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		kinds = kinds[:1]
	}
	for _, members := range []int{3, 1} {
		samples := make(map[ensemble.Kind][]figures)
		for range rounds {
			for _, kind := range kinds { // in turns, so that a slow minute of the machine meets both
				f, err := attempt(kind, members, span)
				if err != nil {
					return fmt.Errorf("%v with %d members: %w", kind, members, err)
				}
				samples[kind] = append(samples[kind], f)
				fmt.Fprintf(os.Stderr, "bench: %v, %d members: %+v\n", kind, members, f)
			}
		}
		table(members, samples)
	}
	return nil
}

// row is one line of the table: a figure, and whether more of it is better.
type row struct {
	name   string
	value  func(figures) float64
	format func(float64) string
	more   bool
}

var rows = []row{
	{"writes/s, one client in step", func(f figures) float64 { return f.writesInStep }, count, true},
	{"write latency p50", func(f figures) float64 { return f.writeP50.Seconds() }, latency, false},
	{"write latency p99", func(f figures) float64 { return f.writeP99.Seconds() }, latency, false},
	{"writes/s, 6 clients with 64 in flight each", func(f figures) float64 { return f.writes }, count, true},
	{"reads/s, one client in step", func(f figures) float64 { return f.readsInStep }, count, true},
	{"read latency p50", func(f figures) float64 { return f.readP50.Seconds() }, latency, false},
	{"read latency p99", func(f figures) float64 { return f.readP99.Seconds() }, latency, false},
	{"reads/s, 6 clients with 64 in flight each", func(f figures) float64 { return f.reads }, count, true},
	{"start to first session, empty store", func(f figures) float64 { return f.startEmpty.Seconds() }, latency, false},
	{"start to first session, store of this run", func(f figures) float64 { return f.startFull.Seconds() }, latency, false},
	{"resident memory of a member after start", func(f figures) float64 { return float64(f.memoryIdle) }, memory, false},
	{"resident memory of a member after the load", func(f figures) float64 { return float64(f.memory) }, memory, false},
}

func table(members int, samples map[ensemble.Kind][]figures) {
	title := "one standalone server"
	if members > 1 {
		title = fmt.Sprintf("an ensemble of %d members", members)
	}
	fmt.Printf("| %s | zkserver | Apache ZooKeeper 3.8.0 | ratio |\n|---|---|---|---|\n", title)
	for _, r := range rows {
		ours, theirs := median(samples[ensemble.Zkserver], r.value), median(samples[ensemble.Apache], r.value)
		if len(samples[ensemble.Apache]) == 0 {
			fmt.Printf("| %s | %s | not installed | |\n", r.name, r.format(ours))
			continue
		}
		ratio := ours / theirs
		if !r.more {
			ratio = theirs / ours
		}
		fmt.Printf("| %s | %s | %s | %.1f |\n", r.name, r.format(ours), r.format(theirs), ratio)
	}
	fmt.Print("\nA ratio above 1 is in favour of zkserver.\n\n")
}

func median(samples []figures, value func(figures) float64) float64 {
	values := make([]float64, len(samples))
	for i, f := range samples {
		values[i] = value(f)
	}
	return middle(values)
}

func middle[T cmp.Ordered](values []T) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func count(v float64) string { return fmt.Sprintf("%.0f", v) }

func latency(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func memory(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// processor is the model of the machine's processor as Linux names it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the report lacks a detail
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return "unknown processor"
}

// built says what made zkserver.
func built() string { return "zkserver of this tree with " + runtime.Version() }

// java says what runs Apache ZooKeeper, and with which settings.
func java() string {
	out, _ := exec.Command("java", "-version").CombinedOutput() // without it the report lacks a detail
	version, _, _ := strings.Cut(string(out), "\n")
	return fmt.Sprintf("Apache ZooKeeper 3.8.0 with %s, -Xmx512m -XX:+UseSerialGC", strings.TrimSpace(version))
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease") // as above
	return strings.TrimSpace(string(text))
}
