//go:build diff

package diff

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// pair plays the same steps to both implementations, one step at a time, and compares what comes of each.
type pair struct {
	ours, theirs *side
	repeat       string // the command that leads here again
	past         []step // the last few
	steps        int
	trace        io.Writer      // every step with zkserver's answer, if not nil
	byOp         map[string]int // requests, by operation and error code
	known        map[string]int // known differences met
	events       int
	budget       int                   // differences to report before giving up
	ensembles    [2]*ensemble.Ensemble // of ours and theirs
}

// servers starts size servers of each implementation, with further lines of zoo.cfg, which end with the test.
func servers(t *testing.T, size int, lines ...string) *pair {
	t.Helper()
	if err := ensemble.HaveApache(); err != nil {
		t.Skip(err)
	}
	properties := "-Dznode.container.checkIntervalMs=86400000"
	for _, line := range lines {
		properties += unprefixed(line)
	}
	t.Setenv("JAVA_TOOL_OPTIONS", properties)
	settings := ensemble.Settings{
		TickTime: 2 * time.Second,
		Extra: append([]string{
			"forceSync=no",
			"minSessionTimeout=60000", "maxSessionTimeout=86400000", // nothing expires on its own
			"znode.container.checkIntervalMs=86400000",
			"DigestAuthenticationProvider.superDigest=" + superDigest,
		}, lines...),
	}
	p := &pair{byOp: make(map[string]int), known: make(map[string]int), budget: *budget}
	for i, kind := range []ensemble.Kind{ensemble.Zkserver, ensemble.Apache} {
		kinds := slices.Repeat([]ensemble.Kind{kind}, size)
		e, err := ensemble.New(settings, kinds...)
		must(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(e.Logs(15))
			}
			e.Close()
		})
		must(t, e.Start())
		p.ensembles[i] = e
	}
	for _, e := range p.ensembles {
		must(t, e.Await(time.Minute))
	}
	p.ours, p.theirs = newSide("zkserver", inTurn(p.ensembles[0])), newSide("apache", inTurn(p.ensembles[1]))
	if size > 1 {
		p.ours.begin(t)
		p.theirs.begin(t)
		p.ours.stir(t)
		p.theirs.stir(t)
	}
	return p
}

// unprefixed is a line of zoo.cfg as an option of a JVM, if it is one that Apache ZooKeeper knows as a property of the
// process only, with no prefix.
func unprefixed(line string) string {
	for _, name := range []string{"znode.container.", "readonlymode.", "jute.", "java.security."} {
		if strings.HasPrefix(line, name) {
			return " -D" + line
		}
	}
	return ""
}

// inTurn lists the followers before the leader, so that the first connections are to followers on both sides.
func inTurn(e *ensemble.Ensemble) []string {
	members := e.Members()
	leader := e.Leader()
	slices.SortStableFunc(members, func(a, b *ensemble.Member) int { return rank(a, leader) - rank(b, leader) })
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Addr())
	}
	return addrs
}

func rank(m, leader *ensemble.Member) int {
	if m == leader {
		return 1
	}
	return 0
}

// outcome is what came of a step, by connection.
type outcome [slots][]line

// play does one step. It returns what zkserver did, and an error if Apache ZooKeeper did something else.
func (p *pair) play(st step) (outcome, error) {
	p.steps++
	p.past = append(p.past, st)
	if len(p.past) > 12 {
		p.past = p.past[1:]
	}
	var got [2]outcome
	sides := [2]*side{p.ours, p.theirs}
	fail := func(s *side, err error) error {
		return fmt.Errorf("%s: %w\n%s", s.name, err, p.report(st, got))
	}
	for _, s := range sides {
		if err := s.start(st); err != nil {
			return got[0], fail(s, err)
		}
	}
	for i, s := range sides {
		var err error
		if got[i][st.slot], err = s.finish(st); err != nil {
			return got[0], fail(s, err)
		}
	}
	if st.writes() {
		for i, s := range sides {
			if err := p.hear(s, st, &got[i]); err != nil {
				return got[0], fail(s, err)
			}
		}
	}
	if p.trace != nil {
		fmt.Fprintf(p.trace, "%d %v\n%s", p.steps, st, texts(got[0][st.slot]))
	}
	p.count(st, got[0])
	p.level(st, &got)
	if !p.alike(st, got) {
		return got[0], fmt.Errorf("the answers differ\n%s", p.report(st, got))
	}
	for slot := range slots { // a known difference may have closed one of two
		for i, s := range sides {
			if s.conns[slot] != nil && sides[1-i].conns[slot] == nil {
				s.hangUp(slot)
			}
		}
	}
	return got[0], nil
}

// hear collects what the other connections of a side were told.
func (p *pair) hear(s *side, st step, got *outcome) error {
	for slot, c := range s.conns {
		if c != nil && slot != st.slot {
			c.write(s.fenceFrame())
		}
	}
	for slot, c := range s.conns {
		if c != nil && slot != st.slot {
			var err error
			if got[slot], err = s.hear(slot); err != nil {
				return err
			}
		}
	}
	if st.ends { // perhaps the end of a session, whose nodes go in any order
		for slot := range got {
			sortEvents(got[slot])
		}
	}
	return nil
}

// sortEvents sorts each run of events.
func sortEvents(lines []line) {
	for len(lines) > 0 {
		n := 0
		for n < len(lines) && lines[n].event {
			n++
		}
		slices.SortFunc(lines[:n], func(a, b line) int { return cmp.Compare(a.text, b.text) })
		lines = lines[max(n, 1):]
	}
}

func (p *pair) count(st step, got outcome) {
	for _, lines := range got {
		for _, l := range lines {
			if l.event {
				p.events++
			}
		}
	}
	what := "hang up"
	switch {
	case st.connect != nil:
		what = "connect"
	case st.bytes != nil:
		what = "bytes"
	case st.request != nil:
		what = st.request.Type.String()
		for _, l := range got[st.slot] {
			if !l.event {
				what += fmt.Sprintf(" %d", l.err)
				break
			}
		}
	}
	p.byOp[what]++
}

// alike compares the two outcomes; known differences are counted and pass.
func (p *pair) alike(st step, got [2]outcome) bool {
	for slot := range slots {
		if !p.match(st, got[0][slot], got[1][slot]) {
			return false
		}
	}
	return true
}

// level notes a zxid that only one side has used up in this step, for a known reason, and makes the lines of that side anew.
func (p *pair) level(st step, got *[2]outcome) {
	own := [2][]line{got[0][st.slot], got[1][st.slot]}
	if p.ours.zxid(p.ours.last) == p.theirs.zxid(p.theirs.last) || len(own[0]) == 0 || len(own[1]) == 0 {
		return
	}
	for _, d := range differences {
		if d.zxid == 0 || !d.explains(st, own[0][0], own[1][0]) {
			continue
		}
		i, s := 0, p.ours
		if d.zxid < 0 {
			i, s = 1, p.theirs
		}
		p.known[d.name]++
		s.skipped = append(s.skipped, s.last)
		for _, lines := range got[i] {
			for j, l := range lines {
				if l.frame != nil {
					lines[j] = s.reply(l.frame, l.op)
				}
			}
		}
		return
	}
}

func (p *pair) match(st step, ours, theirs []line) bool {
	for len(ours) > 0 || len(theirs) > 0 {
		if len(ours) > 0 && len(theirs) > 0 && ours[0].text == theirs[0].text {
			ours, theirs = ours[1:], theirs[1:]
			continue
		}
		var o, t line
		if len(ours) > 0 {
			o = ours[0]
		}
		if len(theirs) > 0 {
			t = theirs[0]
		}
		i := slices.IndexFunc(differences, func(d difference) bool { return d.explains(st, o, t) })
		if i < 0 {
			return false
		}
		d := differences[i]
		p.known[d.name]++
		if !d.extra && len(ours) > 0 {
			ours = ours[1:]
		}
		if len(theirs) > 0 {
			theirs = theirs[1:]
		}
	}
	return true
}

// report shows both outcomes of a step, the steps before it, and how to get here again.
func (p *pair) report(st step, got [2]outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d: %v\n", p.steps, st)
	for slot := range slots {
		o, t := texts(got[0][slot]), texts(got[1][slot])
		if o == "" && t == "" {
			continue
		}
		if o == t {
			fmt.Fprintf(&b, "  connection %d, both:\n%s", slot, o)
			continue
		}
		fmt.Fprintf(&b, "  connection %d, %s:\n%s  connection %d, %s:\n%s", slot, p.ours.name, o, slot, p.theirs.name, t)
	}
	b.WriteString("before:\n")
	for _, s := range p.past[:len(p.past)-1] {
		fmt.Fprintf(&b, "  %v\n", s)
	}
	fmt.Fprintf(&b, "again: %s", p.repeat)
	return b.String()
}

func texts(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "    %s\n", l.text)
	}
	return b.String()
}

// summary is the tally of a run.
func (p *pair) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d steps, %d events\n", p.steps, p.events)
	for _, what := range slices.Sorted(maps.Keys(p.byOp)) {
		fmt.Fprintf(&b, "%8d %s\n", p.byOp[what], what)
	}
	for _, d := range differences {
		if n := p.known[d.name]; n > 0 {
			fmt.Fprintf(&b, "%8d known: %s\n", n, d.name)
		}
	}
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
