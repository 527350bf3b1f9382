package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/zkctl/zkctl/test/ensemble"
)

// Histories are written as one operation after the other, a tick each, unless call and end say something else.
func sequence(ops ...Op) []Op {
	for i := range ops {
		ops[i].Client = i
		if ops[i].Call == 0 {
			ops[i].Call, ops[i].Return = int64(10*i+1), int64(10*i+5)
		}
		if ops[i].Fate == "" {
			ops[i].Fate = Done
		}
		if ops[i].Fate == Unknown {
			ops[i].Return = forever
		}
	}
	return ops
}

func element(kind, do, arg, value string, number int64) Op {
	return Op{Kind: kind, Do: do, Arg: arg, Value: value, Number: number}
}

func listing(names ...string) Op {
	return Op{Kind: "set", Do: "read", Number: int64(len(names)), Hash: hashNames(names)}
}

func pair(do string, fate Fate, text string, asked, told [2]int32) Op {
	op := Op{Kind: "multi", Do: do, Fate: fate, Arg: text, Version: asked, Told: told}
	if do == "read" {
		op.Arg, op.Value = "", text
	}
	return op
}

func valued(do string, fate Fate, text string, asked, told int32) Op {
	op := pair(do, fate, text, [2]int32{asked}, [2]int32{told})
	op.Kind = "register"
	return op
}

func held(do, session string, fate Fate) Op {
	return Op{Kind: "lock", Do: do, Session: session, Fate: fate}
}

// TestCheckerCanFail feeds the checker with what a broken server would have said, and with what looks like it and is right.
func TestCheckerCanFail(t *testing.T) {
	name := func(prefix string, n int64) string { return sequential(prefix, n) }
	for _, c := range []struct {
		name string
		ok   bool
		ops  []Op
	}{
		{"registers: read what was written", true, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Done, "b", 0, 1), valued("read", Done, "b", 0, 1))},
		{"registers: lost write", false, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Done, "b", 0, 1), valued("read", Done, "a", 0, 0))},
		{"registers: lost znode", false, sequence(valued("create", Done, "a", 0, 0), valued("read", Done, "", 0, 0))},
		{"registers: stale synced read, between newer ones", false, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Done, "b", 0, 1), valued("read", Done, "b", 0, 1), valued("read", Done, "a", 0, 0))},
		{"registers: unknown write, seen late", true, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Unknown, "b", 0, 0), valued("read", Done, "a", 0, 0), valued("read", Done, "b", 0, 1))},
		{"registers: unknown write, never seen", true, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Unknown, "b", 0, 0), valued("read", Done, "a", 0, 0))},
		{"registers: unknown write, seen and gone again", false, sequence(valued("create", Done, "a", 0, 0),
			valued("write", Unknown, "b", 0, 0), valued("read", Done, "b", 0, 1), valued("read", Done, "a", 0, 0))},
		{"registers: refused create of nothing", false, sequence(valued("create", Refused, "a", 0, 0))},
		{"registers: two writes with one version", false, sequence(
			valued("create", Done, "a", 0, 0), valued("write", Done, "b", 0, 1), valued("write", Done, "c", 0, 1))},

		{"cas: both win", false, sequence(
			valued("create", Done, "a", 0, 0), valued("cas", Done, "b", 0, 1), valued("cas", Done, "c", 0, 1))},
		{"cas: one wins", true, sequence(
			valued("create", Done, "a", 0, 0), valued("cas", Done, "b", 0, 1), valued("cas", Refused, "c", 0, 0))},
		{"cas: refused with the right version", false, sequence(valued("create", Done, "a", 0, 0), valued("cas", Refused, "b", 0, 0))},

		{"multi: moved together", true, sequence(pair("create", Done, "a|b", [2]int32{}, [2]int32{}),
			pair("move", Done, "c|d", [2]int32{0, 0}, [2]int32{1, 1}), pair("read", Done, "c|d", [2]int32{}, [2]int32{1, 1}))},
		{"multi: half of it", false, sequence(pair("create", Done, "a|b", [2]int32{}, [2]int32{}),
			pair("move", Done, "c|d", [2]int32{0, 0}, [2]int32{1, 1}), pair("read", Done, "c|b", [2]int32{}, [2]int32{1, 0}))},
		{"multi: lost", false, sequence(pair("create", Done, "a|b", [2]int32{}, [2]int32{}),
			pair("move", Done, "c|d", [2]int32{0, 0}, [2]int32{1, 1}), pair("move", Done, "e|f", [2]int32{0, 0}, [2]int32{1, 1}))},

		{"sets: two elements", true, sequence(
			element("set", "add", "x", "", 0), element("set", "add", "y", "", 1), listing(name("x", 0), name("y", 1)))},
		{"sets: duplicate number", false, sequence(element("set", "add", "x", "", 0), element("set", "add", "y", "", 0))},
		{"sets: lost element", false, sequence(
			element("set", "add", "x", "", 0), element("set", "add", "y", "", 1), listing(name("x", 0)))},
		{"sets: number skipped", false, sequence(element("set", "add", "x", "", 0), element("set", "add", "y", "", 2))},
		{"sets: number of an unknown one", true, sequence(element("set", "add", "x", "", 0),
			Op{Kind: "set", Do: "add", Arg: "u", Fate: Unknown}, element("set", "add", "y", "", 2), listing(name("x", 0), name("u", 1), name("y", 2)))},

		{"queues: first in, first out", true, sequence(element("queue", "put", "x", "", 0), element("queue", "put", "y", "", 1),
			element("queue", "take", "", name("x", 0), 0), element("queue", "take", "", name("y", 1), 0), element("queue", "list", "", "", 0))},
		{"queues: taken twice", false, sequence(element("queue", "put", "x", "", 0),
			element("queue", "take", "", name("x", 0), 0), element("queue", "take", "", name("x", 0), 0))},
		{"queues: lost element", false, sequence(element("queue", "put", "x", "", 0), element("queue", "list", "", "", 0))},
		{"queues: last in, first out", false, sequence(element("queue", "put", "x", "", 0), element("queue", "put", "y", "", 1),
			element("queue", "take", "", name("y", 1), 0))},

		{"locks: one after the other", true, sequence(held("acquire", "1", Done), held("acquire", "2", Refused),
			held("release", "1", Done), held("acquire", "2", Done), held("confirm", "2", Done))},
		{"locks: two holders", false, sequence(held("acquire", "1", Done), held("acquire", "2", Done), held("confirm", "1", Done))},
		{"locks: two holders, the session of one is not known to have ended", false, sequence(held("acquire", "1", Done), held("acquire", "2", Done))},
		{"locks: the session has ended", true, sequence(held("acquire", "1", Done),
			Op{Kind: "lock", Do: "end", Session: "1", Call: 2, Return: forever}, held("acquire", "2", Done))},
		{"locks: the session ended later", false, sequence(held("acquire", "1", Done), held("acquire", "2", Done),
			Op{Kind: "lock", Do: "end", Session: "1", Call: 20, Return: forever})},
		{"locks: refused though free", false, sequence(held("acquire", "1", Refused))},
		{"locks: held by one who does not know", true, sequence(held("acquire", "1", Unknown), held("acquire", "2", Refused))},
	} {
		_, others := Check(c.ops, 10*time.Second)
		if (len(others) == 0) != c.ok {
			t.Errorf("%s: %v", c.name, others)
		}
		for _, v := range others {
			if v.Result == porcupine.Unknown {
				t.Errorf("%s: not checked in time", c.name)
			}
		}
	}
}

func TestOrderCanFail(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  bool
		see  func(o *order) string
	}{
		{"forward", false, func(o *order) string { return o.reply(5) + o.reply(5) + o.reply(6) + o.node("/a", 4) + o.node("/a", 6) }},
		{"an error without a zxid", false, func(o *order) string { return o.reply(5) + o.reply(0) }},
		{"zxid goes back", true, func(o *order) string { return o.reply(5) + o.reply(4) }},
		{"an epoch begins", false, func(o *order) string { return o.reply(0x200000005) + o.reply(0x300000000) + o.reply(0x200000005) }},
		{"zxid goes back to before an epoch", true, func(o *order) string { return o.reply(0x300000001) + o.reply(0x300000000) + o.reply(0x200000005) }},
		{"a read goes back", true, func(o *order) string { return o.reply(9) + o.node("/a", 6) + o.node("/a", 5) }},
		{"own write not read", true, func(o *order) string { return o.reply(9) + o.node("/a", 9) + o.reply(10) + o.node("/a", 8) }},
		{"a znode is gone", true, func(o *order) string { return o.reply(9) + o.node("/a", 6) + o.missing("/a") }},
		{"newer than the reply says", true, func(o *order) string { return o.reply(9) + o.node("/a", 10) }},
	} {
		if problem := c.see(&order{}); (problem != "") != c.bad {
			t.Errorf("%s: %q", c.name, problem)
		}
	}
	if problem := (&order{lax: true}).node("/a", 10); problem != "" {
		t.Error(problem)
	}
}

// TestFinalFindsLosses: what was acknowledged and is not in the last tree.
func TestFinalFindsLosses(t *testing.T) {
	ops := sequence(valued("create", Done, "a", 0, 0), element("set", "add", "x", "", 0), element("queue", "put", "q", "", 0),
		pair("create", Done, "a|b", [2]int32{}, [2]int32{}))
	for i := range ops {
		ops[i].Key = "k"
	}
	whole := ensemble.Tree{root + "/register/k": {Data: "a"}, root + "/set/k": {}, root + "/set/k/" + sequential("x", 0): {},
		root + "/queue/k/" + sequential("q", 0): {}, root + "/multi/k-a": {Data: "a"}, root + "/multi/k-b": {Data: "b"}}
	problems := func(tree ensemble.Tree) int {
		last, broken := Final(ops, tree, 1000)
		_, others := Check(append(last, ops...), 10*time.Second)
		return len(broken) + len(others)
	}
	if n := problems(whole); n != 0 {
		t.Errorf("a whole tree has %d problems", n)
	}
	for at := range whole {
		tree := make(ensemble.Tree)
		for other, node := range whole {
			if other != at {
				tree[other] = node
			}
		}
		if at != root+"/set/k" && problems(tree) == 0 {
			t.Errorf("%s is missing, and nobody notices", at)
		}
	}
	whole[root+"/lock/k"] = ensemble.Node{}
	ops = append(ops, held("acquire", "1", Refused))
	ops[len(ops)-1].Key = "k"
	if _, broken := Final(ops, whole, 1000); len(broken) != 1 {
		t.Errorf("a lock without a session: %q", broken)
	}
}

// TestPlanRepeats: the same seed gives the same faults, and all kinds appear.
func TestPlanRepeats(t *testing.T) {
	all := func(string) bool { return true }
	kinds := make(map[string]bool)
	for round := uint64(0); round < 200; round++ {
		a, b := fmt.Sprint(describe(plan(7, round, all))), fmt.Sprint(describe(plan(7, round, all)))
		if a != b {
			t.Fatalf("round %d: %s and %s", round, a, b)
		}
		for _, steps := range plan(7, round, all) {
			for _, s := range steps {
				kinds[s.fault.kind] = true
			}
		}
	}
	for _, l := range lanes {
		for _, f := range l.faults {
			if !kinds[f.kind] {
				t.Errorf("200 rounds have no %s", f.kind)
			}
		}
	}
}

func describe(lanes [][]step) (text []string) {
	for _, steps := range lanes {
		for _, s := range steps {
			text = append(text, fmt.Sprint(s.pause, s.fault.kind, s.draw))
		}
	}
	return text
}

func TestReport(t *testing.T) {
	second := int64(time.Second)
	r := Report{Title: "t", Took: 20 * time.Second, Injected: []Injected{
		{Kind: "kill leader", Start: 4 * second, End: 6 * second}, {Kind: "delay", Start: 12 * second, End: 14 * second}}}
	for at := int64(0); at < 20*second; at += second / 10 {
		if at < 4*second || at > 7*second {
			r.Acks = append(r.Acks, at)
		}
	}
	rows := r.rows()
	if len(rows) != 2 || rows[1].kind != "kill leader" || rows[1].longest.Round(time.Second) != 3*time.Second ||
		rows[1].alone != rows[1].longest || rows[1].recovery.Round(time.Second) != time.Second || rows[0].longest > time.Second/5 {
		t.Errorf("%+v", rows)
	}
	want := `
0 s                        |         |         
writes                     ###-...-############
delay                                  ===
kill leader                    ===
`
	if _, got, _ := strings.Cut(r.Timeline(), "\n"); got != want {
		t.Errorf("timeline:\n%s\nwant:\n%s", got, want)
	}
}
