package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/inventory"
)

// ensemble makes observations from words: a member each, with its state; "o:" in front makes it an observer.
func ensemble(words string) []Observation {
	var seen []Observation
	for i, w := range strings.Fields(words) {
		h := inventory.Host{Name: string(rune('a' + i)), ID: i + 1, Role: inventory.Voter}
		if rest, ok := strings.CutPrefix(w, "o:"); ok {
			h.Role, w = inventory.Observer, rest
		}
		o := Observation{Host: h, State: State(w), Zxid: 0x500000001}
		if w == "syncing" {
			o.State, o.PeerState = Follower, "following - synchronization - snap"
		}
		seen = append(seen, o)
	}
	return seen
}

func TestJudge(t *testing.T) {
	for words, want := range map[string]struct {
		health Health
		left   int
	}{
		"leader follower follower":                     {Healthy, 1},
		"leader follower follower follower follower":   {Healthy, 2},
		"follower leader down":                         {Degraded, 0},
		"leader follower down follower follower":       {Degraded, 1},
		"leader follower syncing":                      {Degraded, 0},
		"electing electing down":                       {NoQuorum, 0},
		"leader down down":                             {NoQuorum, 0},
		"follower follower follower":                   {NoQuorum, 0},
		"leader leader follower":                       {Degraded, 0},
		"leader follower follower o:observer":          {Healthy, 1},
		"leader follower follower o:down":              {Degraded, 1},
		"leader o:observer o:observer down down":       {NoQuorum, 0},
		"standalone":                                   {Healthy, 0},
		"leader follower follower follower o:observer": {Healthy, 1},
	} {
		if v := Judge(ensemble(words)); v.Health != want.health || v.FailuresLeft != want.left {
			t.Errorf("%s: %s, %d failures left; want %s, %d", words, v.Health, v.FailuresLeft, want.health, want.left)
		}
	}
}

// A leader that has not noticed its end is none: the one of the newer epoch leads, wherever it stands.
func TestJudgeDeposedLeader(t *testing.T) {
	for _, words := range []string{"leader leader follower", "leader leader down", "leader leader follower follower follower"} {
		for old := range 2 {
			seen := ensemble(words)
			seen[1-old].Zxid = 0x600000000
			v, leader := Judge(seen), seen[1-old].Host.Name
			if words == "leader leader down" {
				if v.Health != NoQuorum {
					t.Errorf("%s: %+v", words, v)
				}
				continue
			}
			if v.Health != Degraded || v.Leader != leader || v.FailuresLeft != len(seen)/2-1 || v.Serving != len(seen)-1 ||
				!strings.Contains(v.Text, seen[old].Host.Name+" has not noticed yet that it leads no more") {
				t.Errorf("%s: %+v", words, v)
			}
			if err := MayStop(seen, leader); (err == nil) != (len(seen) == 5) {
				t.Errorf("%s: stop %s: %v", words, leader, err)
			}
			if lag, ok := Lag(seen, seen[2]); lag != 0 || !ok {
				t.Errorf("%s: lag %d, %v", words, lag, ok)
			}
		}
	}
}

func TestMayStop(t *testing.T) {
	for _, c := range []struct {
		words, name string
		allowed     bool
	}{
		{"leader follower follower", "b", true},
		{"leader follower follower", "a", true},
		{"leader follower down", "b", false},
		{"leader follower down", "a", false},
		{"leader follower down", "c", true}, // nobody misses it
		{"leader follower syncing", "b", false},
		{"leader follower down follower follower", "a", true},
		{"leader follower down down follower", "b", false},
		{"leader follower", "b", false},
		{"standalone", "a", false},
		{"leader follower down o:observer", "d", true}, // observers do not count, either way
		{"leader follower down o:observer", "b", false},
		{"follower follower follower", "a", false},
	} {
		err := MayStop(ensemble(c.words), c.name)
		var refused *RefusedError
		if (err == nil) != c.allowed || err != nil && !errors.As(err, &refused) {
			t.Errorf("%s: stop %s: %v", c.words, c.name, err)
		}
	}
	err := MayStop(ensemble("leader follower down"), "b")
	if hint := MayStop(ensemble("standalone"), "a").(*RefusedError).Hint(); hint != interruptRemedy {
		t.Errorf("of one voter: %s", hint)
	}
	if want := "b: refused: 2 of 3 voters serve; without b it would be 1, and 2 are needed (c is down)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// With groups and weights it is not the number of voters that counts.
func TestMayStopByWeight(t *testing.T) {
	const groups = "1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1"
	for _, c := range []struct {
		words, votes, name string
		health             Health
		left               int
		refused            string
	}{
		{"leader follower follower", "1:3 1:1 1:1", "a", Healthy, 0, "voters with 5 of a weight of 5 serve; without a it would be 2, and 3 are needed"},
		{"leader follower follower", "1:3 1:1 1:1", "b", Healthy, 0, ""},
		{"leader down down", "1:3 1:1 1:1", "b", Degraded, 0, ""},
		{"down leader follower", "1:3 1:1 1:1", "b", NoQuorum, 0, "voters with 2 of a weight of 5 serve"},
		{"leader follower follower follower follower follower down down down", groups, "a", Degraded, 1, ""},
		{"leader follower follower follower follower down down down down", groups, "d", Degraded, 0,
			"voters with a majority in 2 of 3 groups serve; without d it would be 1, and 2 are needed"},
		{"leader follower follower follower down follower down down down", groups, "a", Degraded, 0, ""},
	} {
		seen := ensemble(c.words)
		for i, v := range strings.Fields(c.votes) {
			fmt.Sscanf(v, "%d:%d", &seen[i].Host.Group, &seen[i].Host.Weight)
		}
		if v := Judge(seen); v.Health != c.health || v.FailuresLeft != c.left {
			t.Errorf("%s: %s, %d failures left", c.words, v.Health, v.FailuresLeft)
		}
		err := MayStop(seen, c.name)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: stop %s: %v", c.words, c.name, err)
		}
	}
}

// weighing is the quorum of three voters of these weights.
func weighing(a, b, c int) inventory.Quorum {
	return inventory.NewQuorum(map[int]int{1: 1, 2: 1, 3: 1}, map[int]int{1: a, 2: b, 3: c})
}

// While weights change, what counts is by what those count that stay, not what the inventory wants.
func TestMayStopByWhatIsInForce(t *testing.T) {
	old, equal := weighing(2, 1, 1), weighing(1, 1, 1)
	for _, c := range []struct {
		what    string
		counts  []inventory.Quorum
		name    string
		refused string
	}{ // with equal weights wanted
		{"nobody was restarted", []inventory.Quorum{old, old, old}, "a", "voters with 4 of a weight of 4 serve; without a it would be 2, and 3 are needed"},
		{"nobody was restarted", []inventory.Quorum{old, old, old}, "b", ""},
		{"b was restarted", []inventory.Quorum{old, {}, old}, "a", "without a it would be 2, and 3 are needed"},
		{"b was restarted", []inventory.Quorum{old, {}, old}, "c", ""},
		{"b and c were restarted", []inventory.Quorum{old, {}, {}}, "a", ""},
		{"all were restarted", []inventory.Quorum{equal, equal, equal}, "a", ""},
	} {
		seen := ensemble("leader follower follower")
		for i := range seen {
			seen[i].Counts = c.counts[i]
		}
		err := MayStop(seen, c.name)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: stop %s: %v", c.what, c.name, err)
		}
		r := &Run{}
		if err := r.mayStopAll(seen, []inventory.Host{seen[c.name[0]-'a'].Host}, false); (err == nil) != (c.refused == "") {
			t.Errorf("%s: stop --limit %s: %v", c.what, c.name, err)
		}
	}
	// Who comes back with new weights follows those only whom it takes for a majority.
	seen := ensemble("leader follower follower")
	for i := range seen {
		seen[i].Counts, seen[i].Host.Group, seen[i].Host.Weight = equal, 1, 1
	}
	seen[0].Host.Weight = 2
	if err := MayStop(seen, "a"); err == nil || !strings.Contains(err.Error(), "without a it would be 2, and 3 are needed") {
		t.Errorf("a is going to weigh 2: %v", err)
	}
	if err := MayStop(seen, "b"); err != nil {
		t.Errorf("a is going to weigh 2: %v", err)
	}
	// A voter of the inventory that the others do not know of yet is missed by nobody; a former one still is.
	seen = ensemble("leader follower follower o:follower")
	seen[3].Host.Role = inventory.Voter
	for i := range 3 {
		seen[i].Counts = equal
	}
	if err := MayStop(seen, "d"); err != nil {
		t.Errorf("a new voter: %v", err)
	}
	seen = ensemble("leader down o:follower")
	for i := range seen {
		seen[i].Counts = equal
	}
	if err := MayStop(seen, "c"); err == nil {
		t.Error("a former voter, the second of three, may be stopped")
	}
}

// While a voter leaves, those that stay count it still. It is not probed any more, but the leader says how many follow.
func TestMayStopBesideAFormerVoter(t *testing.T) {
	four := inventory.NewQuorum(map[int]int{1: 0, 2: 0, 3: 0, 4: 0}, nil)
	for _, c := range []struct {
		words     string
		followers int
		allowed   bool
	}{
		{"follower leader follower", 3, true},
		{"follower leader follower", 2, false}, // the former one does not serve
		{"follower leader follower", 0, false},
		{"follower leader down", 2, false}, // which may be c, seen too late
		{"follower leader follower o:observer", 3, true},
		{"follower follower follower", 3, false},
	} {
		seen := ensemble(c.words)
		for i := range seen {
			if seen[i].Counts = four; seen[i].State == Leader {
				seen[i].Followers = c.followers
			}
			if i == 3 {
				seen[i].Host.ID = 9
			}
		}
		err := MayStop(seen, "a")
		if (err == nil) != c.allowed {
			t.Errorf("%s, %d follow: %v", c.words, c.followers, err)
		}
	}
}

// With weights that change some wait until others count them for less, or for more.
func TestNextToStop(t *testing.T) {
	for _, c := range []struct {
		leader string
		had    inventory.Quorum
		want   string
	}{
		{"a", weighing(2, 1, 1), "b c a"},
		{"c", weighing(2, 1, 1), "b c a"}, // a when neither of the others counts it for two any more
		{"c", weighing(1, 1, 1), "a b c"},
	} {
		seen := ensemble("follower follower follower")
		var members []member
		for i := range seen {
			if seen[i].Counts = c.had; seen[i].Host.Name == c.leader {
				seen[i].State = Leader
			}
			var m member
			m.Host = seen[i].Host
			members = append(members, m)
		}
		var order []string
		for len(members) > 0 {
			m, err := nextToStop(members, seen)
			if err != nil {
				t.Fatal(err)
			}
			order = append(order, m.Host.Name)
			seen[m.Host.ID-1].Counts = weighing(1, 1, 1)
			members = slices.DeleteFunc(members, func(o member) bool { return o.Host.Name == m.Host.Name })
		}
		if got := strings.Join(order, " "); got != c.want {
			t.Errorf("led by %s: %s, want %s", c.leader, got, c.want)
		}
	}
}

// A member that was not seen may serve; one that does not run is missed by nobody.
func TestMayStopUnseen(t *testing.T) {
	for _, c := range []struct {
		words, reason string
		allowed       bool
	}{
		{"down down down", "no answer in time", false},
		{"down down down", noServer, true},
		{"down leader down", "remote error: tls: certificate required", false},
		{"down follower follower", "no answer in time", true},
		{"down leader follower", "no answer in time", true},
		{"electing down down", "no answer in time", true},
		{"o:down down down", "no answer in time", true},
	} {
		seen := ensemble(c.words)
		for i := range seen {
			if seen[i].State == Down {
				seen[i].Reason = c.reason
			}
		}
		err := MayStop(seen, "a")
		if (err == nil) != c.allowed {
			t.Errorf("%s, %s: %v", c.words, c.reason, err)
		}
		if refused := (*RefusedError)(nil); err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason) || refused.Hint() != lookRemedy) {
			t.Errorf("%s, %s: %v", c.words, c.reason, err)
		}
	}
}

func TestLag(t *testing.T) {
	seen := ensemble("leader follower follower down")
	seen[1].Zxid--
	seen[2].Zxid = 0x400000009
	for i, want := range []int{0, 1, -1, -1} {
		got := -1
		if lag, ok := Lag(seen, seen[i]); ok {
			got = int(lag)
		}
		if got != want {
			t.Errorf("%s: lag %d, want %d", seen[i].Host.Name, got, want)
		}
	}
	// A new leader, and nothing written since: the others are not behind, though their zxid is of the old epoch.
	seen = ensemble("leader follower syncing")
	seen[0].Zxid = 0x600000000
	if lag, ok := Lag(seen, seen[1]); lag != 0 || !ok {
		t.Errorf("after an election: lag %d, %v", lag, ok)
	}
	if _, ok := Lag(seen, seen[2]); ok {
		t.Error("the lag of a member that is synchronising is known")
	}
}

func TestReadServerStats(t *testing.T) {
	var o Observation
	readServerStats("Zookeeper version: 3.9.5-ab12, built on 2026-02-11 20:15 UTC\nLatency min/avg/max: 0/0.2571/12\n"+
		"Received: 102\nSent: 101\nConnections: 3\nOutstanding: 0\nZxid: 0x200000003\nMode: follower\nNode count: 5\n", &o)
	readMonitor("zk_version\t3.9.5\nzk_peer_state\tfollowing - broadcast\nzk_uptime\t65000\nzk_avg_latency\t0.25\nno tab\n", &o)
	if o.Version != "3.9.5" || o.Zxid != 0x200000003 || o.State != Follower || o.Epoch() != 2 || o.Uptime != 65*time.Second ||
		o.LatencyMillis != 0.25 || !o.Synced() {
		t.Errorf("%+v", o)
	}
	for text, want := range map[string]string{
		"3.8.0-zkserver-1.2.0, built on 2026-02-11 20:15 UTC": "zkserver 1.2.0",
		"3.4.13-2d71af4dbe, built on 06/29/2018 04:05 GMT":    "apache 3.4.13",
		"3.9":                "apache 3.9",
		"3.8.0--1, built on": "apache 3.8.0",
	} {
		kind, version := serverVersion(text)
		if got := fmt.Sprintf("%s %s", kind, version); got != want {
			t.Errorf("the version in %q is %q, want %q", text, got, want)
		}
	}
	for answer, want := range map[string]State{
		"This ZooKeeper instance is not currently serving requests\n": Electing,
		"srvr is not executed because it is not in the whitelist.\n":  Down,
		"":                         Down,
		"HTTP/1.1 400 Bad Request": Down,
	} {
		o := Observation{State: Down}
		readServerStats(answer, &o)
		if o.State != want || o.Reason == "" {
			t.Errorf("%q: %s, %q", answer, o.State, o.Reason)
		}
	}
}

// However long members take to answer, a round of probes ends at its deadline.
// Answers are not of one moment: who led when it was asked follows by the time the next one leads.
func TestProbeAllDuringAnElection(t *testing.T) {
	inv := &inventory.Inventory{}
	for _, o := range ensemble("leader follower follower") {
		inv.Hosts = append(inv.Hosts, o.Host)
	}
	const end = 100 * time.Millisecond
	for again, want := range map[State]Health{Follower: Healthy, Electing: Degraded, Leader: Degraded, Down: Degraded} {
		var mu sync.Mutex
		asked := map[string]int{}
		seen := ProbeAll(t.Context(), inv, func(ctx context.Context, h inventory.Host) Observation {
			mu.Lock()
			asked[h.Name]++
			n := asked[h.Name]
			mu.Unlock()
			o := Observation{Host: h, State: Leader, Zxid: 0x500000007}
			switch {
			case h.Name == "a" && n == 2 && again == Down:
				<-ctx.Done() // no answer is no news
				o.State = Down
			case h.Name == "a" && n == 2:
				o.State = again
			case h.Name == "b":
				o.Zxid = 0x600000000
			case h.Name == "c":
				o.State = Follower
			}
			return o
		}, end)
		if asked["a"] != 2 || asked["b"] != 2 || asked["c"] != 1 {
			t.Errorf("%s: asked %v", again, asked)
		}
		if v := Judge(seen); v.Health != want || v.Leader != "b" {
			t.Errorf("%s: %+v", again, v)
		}
	}
}

func TestProbeAllEndsAtItsDeadline(t *testing.T) {
	inv := &inventory.Inventory{Hosts: []inventory.Host{{Name: "a"}, {Name: "b"}}}
	seen := ProbeAll(t.Context(), inv, func(ctx context.Context, h inventory.Host) Observation {
		if h.Name == "b" {
			<-ctx.Done()
			return Observation{Host: h, State: Down, Reason: reason(ctx.Err())}
		}
		return Observation{Host: h, State: Leader}
	}, 10*time.Millisecond)
	if seen[0].State != Leader || seen[1].State != Down || seen[1].Reason != "no answer in time" {
		t.Errorf("%+v", seen)
	}
}
