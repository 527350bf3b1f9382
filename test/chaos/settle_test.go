package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestSettle: answers were lost, and each case has an order that explains it or none, found at once.
func TestSettle(t *testing.T) {
	put := func(arg string, number int64) Op { return element("queue", "put", arg, "", number) }
	take := func(arg string, number int64) Op { return element("queue", "take", "", sequential(arg, number), 0) }
	lost := func(op Op) Op { op.Fate, op.Number = Unknown, 0; return op }
	refused := func(op Op) Op { op.Fate = Refused; return op }
	for _, c := range []struct {
		name string
		ok   bool
		left []string
		ops  []Op
	}{
		{"put and left", true, []string{sequential("x", 0)}, sequence(lost(put("x", 0)))},
		{"never put", true, nil, sequence(lost(put("x", 0)), put("y", 0), take("y", 0))},
		{"put and taken", true, nil, sequence(lost(put("x", 0)), put("y", 1), take("x", 0), take("y", 1))},
		{"put, taken and there again", false, []string{sequential("x", 0)}, sequence(lost(put("x", 0)), take("x", 0))},
		{"seen and gone, and nobody took it", false, nil, sequence(lost(put("x", 0)), refused(take("x", 0)))},
		{"put twice", false, []string{sequential("x", 1)}, sequence(lost(put("x", 0)), take("x", 0))},
		{"seen before it was put", false, []string{sequential("x", 1)}, sequence(put("y", 0), take("x", 1), lost(put("x", 0)))},
		{"number of a put that was never seen", false, []string{sequential("y", 1)}, sequence(lost(put("x", 0)), put("y", 1))},
		{"taken by an unknown one", true, nil, sequence(put("x", 0), lost(take("x", 0)), refused(take("x", 0)))},
		{"taken by one of two unknown ones", true, nil, sequence(put("x", 0), lost(take("x", 0)), lost(take("x", 0)))},
		{"gone before anybody could have taken it", false, nil, sequence(put("x", 0), refused(take("x", 0)), lost(take("x", 0)))},
		{"not taken", true, []string{sequential("x", 0)}, sequence(put("x", 0), lost(take("x", 0)))},
		{"not taken, and gone in between", false, []string{sequential("x", 0)}, sequence(put("x", 0), lost(take("x", 0)), refused(take("x", 0)))},
		{"taken by another", true, nil, sequence(put("x", 0), lost(take("x", 0)), take("x", 0))},
		{"the second before the first", false, nil, sequence(put("x", 0), put("y", 1), take("y", 1), lost(take("x", 0)))},
	} {
		if problems := settledProblems(c.ops, c.left); (problems == 0) != c.ok {
			t.Errorf("%s: %d problems", c.name, problems)
		}
	}
}

// TestSettleManyLost: histories of a queue and a set, of which half of the answers were lost, are explained at once; with
// an acknowledged element missing they are not.
func TestSettleManyLost(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		for _, kind := range []string{"queue", "set"} {
			ops, left := manyLost(random, kind)
			if problems := settledProblems(ops, left); problems != 0 {
				t.Errorf("seed %d: %s: %d problems", seed, kind, problems)
			}
			i := slices.IndexFunc(ops, func(op Op) bool {
				name := sequential(op.Arg, op.Number)
				return op.Fate == Done && op.Do != "take" && slices.Contains(left, name) &&
					!slices.ContainsFunc(ops, func(other Op) bool { return other.Value == name })
			})
			if i < 0 {
				continue
			}
			gone := slices.DeleteFunc(slices.Clone(left), func(name string) bool { return name == sequential(ops[i].Arg, ops[i].Number) })
			if settledProblems(ops, gone) == 0 {
				t.Errorf("seed %d: %s: an element is lost, and nobody notices", seed, kind)
			}
		}
	}
}

// manyLost is what eight clients do to a queue or a set at once, and what is left.
func manyLost(random *rand.Rand, kind string) (ops []Op, left []string) {
	var free [8]int64 // when each client can act again
	var number int64
	for i := range 200 {
		client := random.IntN(len(free))
		op := Op{Client: client, Kind: kind, Call: max(free[client], int64(100*i)), Fate: Done}
		if op.Call > int64(100*i) {
			continue
		}
		at := int64(100*i + 1) // it happens here, before the answer comes
		op.Return = at + random.Int64N(1000)
		free[client] = op.Return + 1
		happens := true
		if random.IntN(2) == 0 {
			op.Fate, op.Return = Unknown, forever
			happens = random.IntN(2) == 0
		}
		switch {
		case kind == "queue" && len(left) > 0 && random.IntN(2) == 0:
			op.Do, op.Value = "take", left[0]
			if happens {
				left = left[1:]
			}
		default:
			op.Do, op.Arg = map[string]string{"queue": "put", "set": "add"}[kind], fmt.Sprintf("c%d-%d-", client, i)
			if happens {
				left = append(left, sequential(op.Arg, number))
				if op.Fate == Done {
					op.Number = number
				}
				number++
			}
		}
		ops = append(ops, op)
	}
	return ops, left
}

// settledProblems checks a history of one key at whose end these elements are left.
func settledProblems(ops []Op, left []string) int {
	const end = 1 << 40
	tree := make(ensemble.Tree)
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Key = "k"
		tree[root+"/"+ops[i].Kind+"/k"] = ensemble.Node{}
		for _, name := range left {
			tree[root+"/"+ops[i].Kind+"/k/"+name] = ensemble.Node{}
		}
	}
	last, broken := Final(ops, tree, end)
	_, others := Check(append(Settle(ops, tree, end), last...), time.Minute)
	return len(broken) + len(others)
}
