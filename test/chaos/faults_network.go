package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

var partitionFaults = []fault{
	{"partition: minority", minority},
	{"partition: leader alone", leaderAlone},
	onOne("partition: leader deposed", leads, leaderDeposed),
	{"partition: bridge", bridge},
	{"partition: ring", ring},
	{"partition: one way", oneWay},
	{"partition: everyone alone", everyoneAlone},
}

var linkFaults = []fault{
	{"delay", func(n *Nemesis, d draw) { n.spoilLinks("delay", d, true, false) }},
	{"loss", func(n *Nemesis, d draw) { n.spoilLinks("loss", d, false, true) }},
	{"delay and loss", func(n *Nemesis, d draw) { n.spoilLinks("delay and loss", d, true, true) }},
}

// cut cuts links, each from one port to another, for a while.
func (n *Nemesis) cut(kind string, d draw, what string, links [][2]int) {
	end := n.begin(kind, "%s for %v", what, d.hold)
	for _, link := range links {
		n.net.Set(link[0], link[1], func(l *Link) { l.Cut = true })
	}
	time.Sleep(d.hold)
	for _, link := range links {
		n.net.Set(link[0], link[1], func(l *Link) { l.Cut = false })
	}
	end()
}

// shuffled are the ids of the members in an order that the draw gives.
func (n *Nemesis) shuffled(d draw) []int {
	var ids []int
	for _, m := range n.e.Members() {
		ids = append(ids, m.ID)
	}
	r := rand.New(rand.NewPCG(uint64(d.pick[0]), uint64(d.pick[1])))
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// between are the links between two groups, both ways.
func between(a, b []int) (links [][2]int) {
	for _, i := range a {
		for _, j := range b {
			links = append(links, [2]int{i, j}, [2]int{j, i})
		}
	}
	return links
}

// minority parts a minority from the others; half of the time the clients cannot reach it either.
func minority(n *Nemesis, d draw) {
	ids := n.shuffled(d)
	size := 1 + d.pick[2]%((len(ids)-1)/2)
	n.isolate("partition: minority", d, ids[:size], ids[size:])
}

func leaderAlone(n *Nemesis, d draw) {
	leader := n.e.Leader()
	if leader == nil {
		n.skip("partition: leader alone")
		return
	}
	var others []int
	for _, id := range n.shuffled(d) {
		if id != leader.ID {
			others = append(others, id)
		}
	}
	n.isolate("partition: leader alone", d, []int{leader.ID}, others)
}

// leaderDeposed lets a leader sleep, cut off from the other members, until they have another one, and wakes it up alone,
// with requests of its clients waiting. Clients reach both sides.
func leaderDeposed(n *Nemesis, leader *ensemble.Member, kind string, _ draw) {
	sleep := n.silence + 6*time.Second // a busy machine elects slowly
	end := n.begin(kind, "%d alone, sleeps for %v, then wakes for %v", leader.ID, sleep, n.silence)
	var others []int
	for _, m := range n.e.Members() {
		if m != leader {
			others = append(others, m.ID)
		}
	}
	set := func(cut bool) {
		for _, link := range between([]int{leader.ID}, others) {
			n.net.Set(link[0], link[1], func(l *Link) { l.Cut = cut })
		}
	}
	set(true)
	n.fail(leader.Signal(syscall.SIGSTOP))
	time.Sleep(sleep)
	n.fail(leader.Signal(syscall.SIGCONT))
	time.Sleep(n.silence)
	set(false)
	end()
}

func (n *Nemesis) isolate(kind string, d draw, few, many []int) {
	links, who := between(few, many), "clients reach both sides"
	if d.pick[3]%2 == 0 {
		links, who = append(links, between([]int{0}, few)...), "clients reach the larger side"
	}
	n.cut(kind, d, fmt.Sprintf("%v | %v, %s", few, many, who), links)
}

// bridge parts the members in two halves that only one member reaches both of.
func bridge(n *Nemesis, d draw) {
	ids := n.shuffled(d)
	half := len(ids) / 2
	a, b := ids[:half], ids[half+1:]
	n.cut("partition: bridge", d, fmt.Sprintf("%v | %v, both reach %d", a, b, ids[half]), between(a, b))
}

// ring lets each member reach its two neighbours only. With three members that is everyone; there each link passes one
// direction only.
func ring(n *Nemesis, d draw) {
	ids := n.shuffled(d)
	var links [][2]int
	if len(ids) == 3 {
		links = [][2]int{{ids[0], ids[1]}, {ids[1], ids[2]}, {ids[2], ids[0]}}
		n.cut("partition: ring", d, fmt.Sprintf("%v: no one reaches the next", ids), links)
		return
	}
	for i := range ids {
		for j := range ids {
			if distance := (i - j + len(ids)) % len(ids); distance > 1 && distance < len(ids)-1 {
				links = append(links, [2]int{ids[i], ids[j]})
			}
		}
	}
	n.cut("partition: ring", d, fmt.Sprintf("%v: each reaches its neighbours", ids), links)
}

// oneWay lets one member hear the others and not be heard, or the other way round.
func oneWay(n *Nemesis, d draw) {
	ids := n.shuffled(d)
	var links [][2]int
	what := "hears the others and is not heard"
	for _, other := range ids[1:] {
		link := [2]int{ids[0], other}
		if d.pick[2]%2 == 0 {
			link = [2]int{other, ids[0]}
			what = "is heard and hears nobody"
		}
		links = append(links, link)
	}
	n.cut("partition: one way", d, fmt.Sprintf("%d %s", ids[0], what), links)
}

func everyoneAlone(n *Nemesis, d draw) {
	ids := n.shuffled(d)
	n.cut("partition: everyone alone", d, "all links between members", between(ids, ids))
}

// spoilLinks makes about half of all links, those of the clients among them, slow, or lossy, or both.
func (n *Nemesis) spoilLinks(kind string, d draw, slow, lossy bool) {
	r := rand.New(rand.NewPCG(uint64(d.pick[0]), uint64(d.pick[1])))
	ports := 1 + len(n.e.Members())
	var spoiled []string
	var links [][2]int
	delay, loss := time.Duration(0), 0.0
	if slow {
		delay = time.Duration(2+d.pick[2]%150) * time.Millisecond
	}
	if lossy {
		loss = 0.02 + float64(d.pick[3]%25)/100
	}
	for i := range ports {
		for j := range ports {
			if i != j && r.IntN(2) == 0 {
				spoiled = append(spoiled, fmt.Sprintf("%d-%d", i, j))
				links = append(links, [2]int{i, j})
			}
		}
	}
	end := n.begin(kind, "%v and up to that more, %.0f %% loss, links %s, for %v", delay, loss*100, strings.Join(spoiled, " "), d.hold)
	set := func(delay time.Duration, loss float64) {
		for _, link := range links {
			n.net.Set(link[0], link[1], func(l *Link) { l.Delay, l.Jitter, l.Loss = delay, delay, loss })
		}
	}
	set(delay, loss)
	time.Sleep(d.hold)
	set(0, 0)
	end()
}
