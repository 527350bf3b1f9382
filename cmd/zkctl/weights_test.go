package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/workload"
)

// Where one vote weighs more than the others together, gates and status say so, and the members behave accordingly.
func TestWeights(t *testing.T) {
	l := newLocal(t)
	l.edit("name: m1, id: 1", "name: m1, id: 1, weight: 3")
	out := l.must("bootstrap", "--server-binary", l.server)
	if !strings.Contains(out, "with these groups and weights there is a voter whose failure alone ends the service") ||
		!strings.Contains(out, "healthy: all 3 members serve, no further failure is survived") {
		t.Errorf("bootstrap:\n%s", out)
	}
	const why = "voters with 5 of a weight of 5 serve; "
	if out, code := l.ctl("stop", "--limit", "m1", "--yes"); code != exitRefused || !strings.Contains(out, why) {
		t.Errorf("stop of the weight: exit code %d\n%s", code, out)
	}
	if out, code := l.ctl("rolling-restart"); code != exitRefused || !strings.Contains(out, why+"without m1 it would be 2, and 3 are needed") {
		t.Errorf("rolling restart: exit code %d\n%s", code, out)
	}
	l.must("stop", "--limit", "m2,m3", "--yes")
	if out, code := l.ctl("status"); code != exitUnhealthy || !strings.Contains(out, "degraded: 1 of 3 members serve") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	l.must("start")
	// By other weights m2 and m3 would be a quorum, and so would m1 still be by those of now.
	l.edit(", weight: 3", "")
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitRefused || !strings.Contains(out, "weights change by too much at once") {
		t.Errorf("apply without weights: exit code %d\n%s", code, out)
	}
	l.must("stop", "--yes")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "healthy: all 3 members serve, one more failure is survived") {
		t.Errorf("apply without weights while nobody runs:\n%s", out)
	}
}

// While weights change, each member is restarted when those that stay can do without it, by what they count at that moment.
func TestWeightsChange(t *testing.T) {
	l := newLocal(t)
	l.edit("name: m1, id: 1", "name: m1, id: 1, weight: 2")
	l.must("bootstrap", "--server-binary", l.server)
	load, err := workload.Start("/load", workload.Options{Writers: 3, Registers: 1, Pause: 5 * time.Millisecond, Keep: 50}, l.clients...)
	if err != nil {
		t.Fatal(err)
	}
	// By equal weights m1 could be missed, but not by those of now.
	l.edit(", weight: 2", "")
	const why = "voters with 4 of a weight of 4 serve; "
	if out, code := l.ctl("stop", "--limit", "m1", "--yes"); code != exitRefused || !strings.Contains(out, why+"after this it would be 2, and 3 are needed") {
		t.Errorf("stop of the weight: exit code %d\n%s", code, out)
	}
	if out, code := l.ctl("rolling-restart", "--limit", "m1"); code != exitRefused || !strings.Contains(out, why+"without m1 it would be 2, and 3 are needed") {
		t.Errorf("rolling restart of the weight: exit code %d\n%s", code, out)
	}
	if out := l.must("apply", "--json", "--server-binary", l.server); !regexp.MustCompile(`"restarts":\["m[23]","m[23]","m1"\]`).MatchString(out) {
		t.Errorf("to equal weights:\n%s", out)
	}
	l.edit("name: m1, id: 1", "name: m1, id: 1, weight: 2")
	out, code := l.ctl("apply", "--server-binary", l.server)
	if code != exitPartial || !strings.Contains(out, why+"without m1 it would be 2, and 3 are needed") || !strings.Contains(out, "m1: is not going to be restarted") {
		t.Errorf("apply of a weight that is not to be missed: exit code %d\n%s", code, out)
	}
	if out := l.must("status"); !strings.Contains(out, "healthy: all 3 members serve") {
		t.Errorf("status before the last restart:\n%s", out)
	}
	l.must("restart", "--yes")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply after the restart:\n%s", out)
	}
	l.keptAll(load)
}

// From four voters to three the fourth is needed until the others know it no more: it may be stopped after that, and not before.
func TestFourthVoterLeaves(t *testing.T) {
	l := newLocalOf(t, 4)
	l.must("bootstrap", "--server-binary", l.server)
	four, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	use := func(inventory []byte) {
		t.Helper()
		if err := os.WriteFile(l.inventory, inventory, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { use(four) }) // before all are stopped
	three := four[:bytes.Index(four, []byte("  - {name: m4,"))]
	l.must("stop", "--limit", "m4", "--yes")
	use(three)
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitRefused || !strings.Contains(out, "3 of 4 voters serve; without m1 it would be 2, and 3 are needed; server 4 has left the inventory and is still counted") {
		t.Errorf("apply without the fourth: exit code %d\n%s", code, out)
	}
	use(four)
	l.must("start")
	use(three)
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "healthy: all 3 members serve") {
		t.Errorf("apply beside the fourth:\n%s", out)
	}
	use(four)
	l.must("stop", "--limit", "m4", "--yes")
	use(three)
	if out := l.must("status"); !strings.Contains(out, "healthy: all 3 members serve, one more failure is survived") {
		t.Errorf("without the fourth:\n%s", out)
	}
}

// What a lone voter has to be restarted for is said before anything is done, and how it is done.
func TestLoneVoter(t *testing.T) {
	l := newLocalOf(t, 1)
	l.must("bootstrap", "--server-binary", l.server)
	l.edit("tickTime: 1000", "tickTime: 900")
	const why = "m1: is not going to be restarted: 1 of 1 voters serve; without m1 it would be 0, and 1 are needed (there are too few voters"
	if out := l.must("plan", "--server-binary", l.server); !strings.Contains(out, why) || !strings.Contains(out, "clients are not served while a voter is restarted") {
		t.Errorf("plan:\n%s", out)
	}
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitRefused || !strings.Contains(out, why) || !strings.Contains(out, "hint: there are too few voters") {
		t.Errorf("apply: exit code %d\n%s", code, out)
	}
	l.must("restart", "--yes")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply after the restart:\n%s", out)
	}
}

// Who stops the leader is shown the ensemble as it is when the others have elected another one.
func TestStopOfTheLeader(t *testing.T) {
	l := newLocal(t)
	l.must("bootstrap", "--server-binary", l.server)
	for range 2 {
		out := l.must("stop", "--limit", "leader", "--yes")
		if !strings.Contains(out, "degraded: 2 of 3 members serve") {
			t.Errorf("stop:\n%s", out)
		}
		l.must("start")
	}
}
