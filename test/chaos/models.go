package chaos

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// An operation whose outcome is unknown returns at forever. The checker may then place it anywhere after its call, and at
// the very end, after everything that anybody saw, if it never happened: so each model lets an unknown operation pass in
// any state. Only locks differ; see there. Of sets and queues Settle has found out before what happened.

// registerState is a znode's: "" is none.
type registerState struct {
	value   string
	version int32
}

// registerModel: create, write (setData of any version), cas (setData of Version[0]) and read (getData after a sync or after
// a write of the same session). Value and Told[0] are the data and the version that were answered.
func registerModel(state, input, _ any) (bool, any) {
	s, op := state.(registerState), input.(Op)
	exists := s.value != ""
	switch op.Do {
	case "create":
		if op.Fate == Refused {
			return exists, s
		}
		if exists {
			return op.Fate == Unknown, s
		}
		return true, registerState{op.Arg, 0}
	case "write", "cas":
		fits := exists && (op.Do == "write" || op.Version[0] == s.version)
		if op.Fate == Refused {
			return !fits, s
		}
		if !fits {
			return op.Fate == Unknown, s
		}
		return op.Fate == Unknown || op.Told[0] == s.version+1, registerState{op.Arg, s.version + 1}
	default: // read
		return op.Value == s.value && (!exists || op.Told[0] == s.version), s
	}
}

// pairState is two znodes that only multis touch.
type pairState struct {
	values   [2]string
	versions [2]int32
}

// multiModel: create makes both znodes in one multi; move sets both if they have the versions Version; read is a multi of
// two reads. Arg and Value are the two data with | between.
func multiModel(state, input, _ any) (bool, any) {
	s, op := state.(pairState), input.(Op)
	exists := s.values[0] != ""
	a, b, _ := strings.Cut(op.Arg, "|")
	switch op.Do {
	case "create":
		if op.Fate == Refused {
			return exists, s
		}
		if exists {
			return op.Fate == Unknown, s
		}
		return true, pairState{values: [2]string{a, b}}
	case "move":
		fits := exists && s.versions == op.Version
		if op.Fate == Refused {
			return !fits, s
		}
		if !fits {
			return op.Fate == Unknown, s
		}
		next := pairState{[2]string{a, b}, [2]int32{s.versions[0] + 1, s.versions[1] + 1}}
		return op.Fate == Unknown || op.Told == next.versions, next
	default: // read
		if !exists {
			return op.Value == "|", s
		}
		return op.Value == s.values[0]+"|"+s.values[1] && op.Told == s.versions, s
	}
}

// setState is a set of sequential znodes, by their number and a hash of their names.
type setState struct {
	n    int64
	hash uint64
}

// setModel: add creates a sequential znode named Arg and a number, which was told as Number; read lists the children, of
// which there were Number with the hash Hash. Nothing is deleted, so each number is that of the elements before.
func setModel(state, input, _ any) (bool, any) {
	s, op := state.(setState), input.(Op)
	if op.Do == "add" {
		next := setState{s.n + 1, s.hash ^ hashName(sequential(op.Arg, s.n))}
		return op.Fate == Unknown || op.Number == s.n, next
	}
	return op.Number == s.n && op.Hash == s.hash, s
}

// sequential is the name that a server gives.
func sequential(prefix string, n int64) string { return fmt.Sprintf("%s%010d", prefix, n) }

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

func hashNames(names []string) (hash uint64) {
	for _, name := range names {
		hash ^= hashName(name)
	}
	return hash
}

// queueState is the names in a queue, each followed by a comma, and how many there were ever.
type queueState struct {
	n     int64
	items string
}

// queueModel: put creates a sequential znode named Arg and a number; take deletes the first child, Value, and is refused if
// somebody else was faster; list is the children at the end, in Value.
//
// First in, first out holds although the list of children may be old: what is before an element in the list's state was
// gone already, and what comes later has a higher number.
func queueModel(state, input, _ any) (bool, any) {
	s, op := state.(queueState), input.(Op)
	switch op.Do {
	case "put":
		next := queueState{s.n + 1, s.items + sequential(op.Arg, s.n) + ","}
		return op.Fate == Unknown || op.Number == s.n, next
	case "take":
		first := strings.HasPrefix(s.items, op.Value+",")
		if op.Fate == Refused {
			return !strings.Contains(","+s.items, ","+op.Value+","), s
		}
		if !first {
			return op.Fate == Unknown, s
		}
		return true, queueState{s.n, s.items[len(op.Value)+1:]}
	default: // list
		return op.Value == s.items, s
	}
}

// lockModel: acquire creates an ephemeral znode, release deletes it, confirm sets its data while the client believes to hold
// it, end is the end of a session, which releases what it holds. The state is the session that holds the lock, "" if none.
//
// An end may come at any time after the session was last known to live, so an unknown acquire can be undone by it: whether
// it happened is left open in every state.
func lockModel(state any, input any, _ any) []any {
	holder, op := state.(string), input.(Op)
	stays := []any{holder}
	switch op.Do {
	case "acquire":
		switch {
		case op.Fate == Refused && holder != "", op.Fate == Unknown && holder != "":
			return stays
		case op.Fate == Done && holder == "":
			return []any{op.Session}
		case op.Fate == Unknown:
			return []any{"", op.Session}
		}
		return nil
	case "release", "confirm":
		after := holder
		if op.Do == "release" {
			after = ""
		}
		switch {
		case op.Fate == Refused && holder == "", op.Fate == Unknown && holder != op.Session:
			return stays
		case op.Fate == Done && holder == op.Session:
			return []any{after}
		case op.Fate == Unknown:
			return []any{holder, after}
		}
		return nil
	default: // end
		if holder == op.Session {
			return []any{""}
		}
		return stays
	}
}

// models by the kind of history.
var models = map[string]porcupine.Model{
	"register": {Init: func() any { return registerState{} }, Step: registerModel},
	"multi":    {Init: func() any { return pairState{} }, Step: multiModel},
	"set":      {Init: func() any { return setState{} }, Step: setModel},
	"queue":    {Init: func() any { return queueState{} }, Step: queueModel},
	"lock": (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{""} }, Step: lockModel}).ToModel(),
}

// Verdict is what the checker says of the history of one key.
type Verdict struct {
	Kind, Key string
	Ops       []Op
	Result    porcupine.CheckResult
}

// Check looks, for each key by itself, for an order of its operations that explains all answers, within the limit for each.
// It returns how many operations of each kind were explained, and the verdicts on the others.
func Check(ops []Op, limit time.Duration) (explained map[string]int, others []Verdict) {
	byKey := make(map[[2]string][]Op)
	var keys [][2]string
	for _, op := range ops {
		key := [2]string{op.Kind, op.Key}
		if byKey[key] == nil {
			keys = append(keys, key)
		}
		byKey[key] = append(byKey[key], op)
	}
	explained = make(map[string]int)
	for _, key := range keys {
		history := byKey[key]
		slices.SortStableFunc(history, func(a, b Op) int { return int(min(max(a.Call-b.Call, -1), 1)) })
		operations := make([]porcupine.Operation, len(history))
		for i, op := range history {
			operations[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Return: op.Return}
		}
		result := porcupine.CheckOperationsTimeout(models[key[0]], operations, limit)
		if result == porcupine.Ok {
			explained[key[0]] += len(history)
		} else {
			others = append(others, Verdict{key[0], key[1], history, result})
		}
	}
	return explained, others
}
