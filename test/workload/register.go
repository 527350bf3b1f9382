package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/go-zookeeper/zk"
)

// operation is one request on a register. Times are nanoseconds since the load began.
type operation struct {
	client    int
	register  string
	kind      kind
	value     string // written, or read; "" is a register that does not exist
	fate      fate
	call, end int64
}

type kind int

const (
	readRegister kind = iota
	setRegister
	createRegister
)

// registerLife is how long one set of registers is used. An unknown write stays concurrent with everything after it,
// which makes long histories dear to check; new registers start with a clean one.
const (
	registerLife    = 10 * time.Second
	registersAtOnce = 3
)

// register is the life of one client of the registers: writes (create or set, whichever applies) and reads after a sync,
// which make reads as fresh as the leader while no deposed leader lives on.
func (l *Load) register(ctx context.Context, client int, conn *zk.Conn) {
	random := rand.New(rand.NewPCG(uint64(client), 1)) // only spreads the load: schedules are not repeatable anyway
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("%s/registers/r%d-%d", l.root, int(time.Since(l.began)/registerLife), random.IntN(registersAtOnce))
		op := operation{client: client, register: name, value: fmt.Sprintf("c%d-%d", client, i)}
		switch random.IntN(2) {
		case 0:
			l.read(conn, op)
		case 1:
			l.set(conn, op)
		}
		l.pause(ctx)
	}
}

// read records a read that was answered; one that was not says nothing.
func (l *Load) read(conn *zk.Conn, op operation) {
	op.kind, op.call = readRegister, l.now()
	if _, err := conn.Sync(op.register); err != nil {
		return
	}
	data, _, err := conn.Get(op.register)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return
	}
	op.value, op.end = string(data), l.now()
	l.record(op)
}

func (l *Load) set(conn *zk.Conn, op operation) {
	op.kind, op.call = setRegister, l.now()
	_, err := conn.Set(op.register, []byte(op.value), -1)
	if errors.Is(err, zk.ErrNoNode) {
		op.kind, op.call = createRegister, l.now()
		_, err = conn.Create(op.register, []byte(op.value), 0, zk.WorldACL(zk.PermAll))
	}
	op.end = l.now()
	l.mu.Lock()
	op.fate = l.count(err)
	l.mu.Unlock()
	if op.fate == notDone {
		return
	}
	if op.fate == unknown {
		op.end = math.MaxInt64
	}
	l.record(op)
}

func (l *Load) now() int64 { return int64(time.Since(l.began)) }

func (l *Load) record(op operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, op)
}

// Linearizable checks the registers' history, after Stop, within the limit. It returns how many operations were checked,
// and an error if the history cannot be explained by registers, or if the limit was too short to tell.
func (l *Load) Linearizable(limit time.Duration) (checked int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	operations := make([]porcupine.Operation, len(l.history))
	for i, op := range l.history {
		operations[i] = porcupine.Operation{ClientId: op.client, Input: op, Output: op, Call: op.call, Return: op.end}
	}
	switch porcupine.CheckOperationsTimeout(registerModel, operations, limit) {
	case porcupine.Illegal:
		return len(operations), fmt.Errorf("the history of %d operations on registers is not linearizable", len(operations))
	case porcupine.Unknown:
		return 0, fmt.Errorf("a history of %d operations on registers was not checked within %v", len(operations), limit)
	}
	return len(operations), nil
}

// registerModel is a register that starts as "" (no such znode). A write whose outcome is unknown is placed by the
// checker anywhere after its call, at the very end if it never happened.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var order []string
		parts := make(map[string][]porcupine.Operation)
		for _, op := range history {
			name := op.Input.(operation).register
			if parts[name] == nil {
				order = append(order, name)
			}
			parts[name] = append(parts[name], op)
		}
		split := make([][]porcupine.Operation, len(order))
		for i, name := range order {
			split[i] = parts[name]
		}
		return split
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		op, value := input.(operation), state.(string)
		exists := value != ""
		switch {
		case op.kind == readRegister:
			return op.value == value, value
		case (op.kind == setRegister) == exists: // a set of what exists, a create of what does not
			return true, op.value
		default:
			return op.fate == unknown, value
		}
	},
}
