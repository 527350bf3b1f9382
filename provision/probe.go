package provision

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/inventory"
)

// State is what a member was seen doing.
type State string

// The states of a member. Serving ones are spelt as the server spells its mode.
const (
	Leader     State = "leader"
	Follower   State = "follower"
	Observing  State = "observer"
	Standalone State = "standalone"
	// ReadOnly members are cut off from the quorum and serve reads.
	ReadOnly State = "read-only"
	// Electing members answer, and say that they do not serve.
	Electing State = "electing"
	// Down members do not answer; Observation.Reason says how that showed.
	Down State = "down"
)

// Observation is what one probe of one member saw.
type Observation struct {
	Host  inventory.Host
	State State
	// Reason says why the member is not serving.
	Reason string
	// Kind is what the server says it is, Version its own.
	Kind    inventory.Kind
	Version string
	// Zxid is the last one the member applied.
	Zxid uint64
	// PeerState is the phase within the protocol, such as "following - broadcast"; "" where the server does not say.
	PeerState string
	// Connections are those of clients, the probe's own excluded.
	Connections int
	Uptime      time.Duration
	// LatencyMillis is the average since the member's start.
	LatencyMillis float64
	// Followers are those in sync with the member, if it leads and says so.
	Followers int
	// Counts is the quorum by which the member counts, as it was started: while weights or voters change, members differ in it.
	// Where it is nobody's it is not known, and taken for that of the inventory.
	Counts inventory.Quorum
}

// Serving reports whether the member answers clients as a part of an ensemble with a quorum.
func (o Observation) Serving() bool {
	return o.State == Leader || o.State == Follower || o.State == Observing || o.State == Standalone
}

// Leads reports whether the member says that it leads, or serves alone.
func (o Observation) Leads() bool { return o.State == Leader || o.State == Standalone }

// Synced reports whether the member serves and has finished synchronising with its leader.
func (o Observation) Synced() bool {
	return o.Serving() && (o.PeerState == "" || strings.Contains(o.PeerState, "broadcast"))
}

// Epoch is the upper half of the zxid.
func (o Observation) Epoch() uint32 { return uint32(o.Zxid >> 32) }

// Probe asks one member how it is, within the time that ctx leaves.
type Probe func(ctx context.Context, h inventory.Host) Observation

// ProbeAll probes all members at once. The answer is complete and in the order of the inventory when deadline has
// passed, whatever is down. Where several say that they lead, these are asked once more: an election may have passed between
// their answers.
func ProbeAll(ctx context.Context, inv *inventory.Inventory, probe Probe, deadline time.Duration) []Observation {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	seen := make([]Observation, len(inv.Hosts))
	round := func(which []int) {
		var group sync.WaitGroup
		for _, i := range which {
			group.Go(func() {
				if o := probe(ctx, inv.Hosts[i]); ctx.Err() == nil || !seen[i].Leads() {
					seen[i] = o
				}
			})
		}
		group.Wait()
	}
	var all, leaders []int
	for i := range inv.Hosts {
		all = append(all, i)
	}
	round(all)
	for i, o := range seen {
		if o.Leads() {
			leaders = append(leaders, i)
		}
	}
	if len(leaders) > 1 {
		round(leaders)
	}
	return seen
}

// Dialer connects to the client port of a member.
type Dialer func(ctx context.Context, h inventory.Host) (net.Conn, error)

// FourLetters probes by the four-letter words srvr and mntr on the client port, one after the other, so that each
// answer counts exactly one connection of ours.
func FourLetters(dial Dialer) Probe {
	return func(ctx context.Context, h inventory.Host) Observation { return fourLetters(ctx, dial, h) }
}

func fourLetters(ctx context.Context, dial Dialer, h inventory.Host) Observation {
	o := Observation{Host: h, State: Down}
	srvr, err := fourLetterWord(ctx, dial, h, "srvr")
	if err != nil {
		o.Reason = reason(err)
		return o
	}
	readServerStats(srvr, &o)
	if o.State == Electing {
		return o // so would mntr be answered
	}
	// What mntr adds is good to have; a member that answers srvr is not down for the lack of it.
	if mntr, err := fourLetterWord(ctx, dial, h, "mntr"); err == nil {
		readMonitor(mntr, &o)
	}
	return o
}

// fourLetterWord sends a word and reads the answer to its end.
func fourLetterWord(ctx context.Context, dial Dialer, h inventory.Host, word string) (string, error) {
	conn, err := dial(ctx, h)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if err != nil && len(answer) == 0 {
		return "", fmt.Errorf("no answer to %s: %w", word, err)
	}
	return string(answer), nil
}

// noServer is the reason of a member that does not run on a host that does.
const noServer = "connection refused: no server on the port"

// reason is a short text for an operator.
func reason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return noServer
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host: a firewall, or the host is off"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "connection closed without an answer"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return "cannot resolve " + dns.Name
	}
	return err.Error()
}

// readServerStats reads the answer to srvr.
func readServerStats(answer string, o *Observation) {
	if strings.Contains(answer, "not currently serving requests") {
		o.State, o.Reason = Electing, "no quorum: running, but not serving"
		return
	}
	if strings.Contains(answer, "not in the whitelist") {
		o.Reason = "srvr is not among the member's four-letter words"
		return
	}
	o.Reason = "unexpected answer to srvr"
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Zookeeper version":
			o.Kind, o.Version = serverVersion(value)
		case "Latency min/avg/max":
			if parts := strings.Split(value, "/"); len(parts) == 3 {
				o.LatencyMillis, _ = strconv.ParseFloat(parts[1], 64)
			}
		case "Zxid":
			o.Zxid, _ = strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
		case "Connections":
			if n, err := strconv.Atoi(value); err == nil {
				// The connection that asks is counted, too.
				o.Connections = max(0, n-1)
			}
		case "Mode":
			switch s := State(value); s {
			case Leader, Follower, Observing, Standalone:
				o.State, o.Reason = s, ""
			case ReadOnly:
				o.State, o.Reason = s, "cut off from the quorum, serves reads only"
			default:
				o.Reason = fmt.Sprintf("unknown mode %q", value)
			}
		}
	}
}

// serverVersion is the kind of a server and its release: of Apache ZooKeeper without the hash behind it; of zkserver, which
// names itself behind the release of Apache ZooKeeper that it is like, its own: 3.8.0-zkserver-1.0.0.
func serverVersion(text string) (inventory.Kind, string) {
	text, _, _ = strings.Cut(text, ",")
	release, rest, _ := strings.Cut(text, "-")
	if own, ok := strings.CutPrefix(rest, "zkserver-"); ok {
		return inventory.Zkserver, own
	}
	return inventory.Apache, release
}

// readMonitor reads the answer to mntr; what it lacks stays as it is.
func readMonitor(answer string, o *Observation) {
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			continue
		}
		number := func() float64 { f, _ := strconv.ParseFloat(value, 64); return f }
		switch key {
		case "zk_peer_state":
			o.PeerState = value
		case "zk_synced_followers":
			o.Followers = int(number())
		case "zk_uptime":
			o.Uptime = time.Duration(number()) * time.Millisecond
		case "zk_avg_latency":
			o.LatencyMillis = number()
		}
	}
}
