package sim

import (
	"fmt"
	"strings"
)

// Fault is a kind of fault.
type Fault int

// The kinds of faults.
const (
	PowerLoss       Fault = iota // of one machine: what was not synced is lost, torn or kept
	PowerLossOfAll               // of all machines
	LeaderPowerLoss              // of the leader
	ConnectionCut                // of a learner and its leader
	SyncCut                      // while the learner is being synchronised
	Refused                      // a connection, which is tried again
	RepeatedVote                 // sent again on a new connection
	Isolated                     // one machine, from all others
	LeaderIsolated               // the leader
	OneWay                       // nothing gets from one machine to another
	Halves                       // two sides
	SlowDisk                     // of one machine
	SlowNetwork                  // all of it
	Stall                        // of one machine, as by SIGSTOP
	LeaderStall                  // of the leader
	HalfOpen                     // the followers are gone, and the leader does not learn of it
	ClientCut                    // a client loses its connection
	SplitAndRestart              // any two sides, and some machines restart
	Ambush                       // one of these just after a change of the membership
	Ring                         // each machine reaches its neighbours only
	Bridge                       // one machine reaches both sides
	Minority                     // fewer than half are cut off
	SlowWay                      // from one machine to another, so that messages are overtaken
	Lossy                        // connections break again and again
	ClockJump                    // of one wall clock
	Kill                         // of a process; what it wrote is still in the memory of the machine
	FsyncError                   // once; the member must stop
	DiskFull                     // for a while; the member must stop
	RotLog                       // in a log that is not the newest
	RotSnapshot                  // in a snapshot
	RotRefused                   // a start with such a file
	Wiped                        // by an operator, but for acceptedEpoch
	NewDisk                      // in place of one with data
	RollingRestart               // of all machines
	DeathInWrite                 // of a machine or a process, within a write
	OldMember                    // speaks as older versions do
	WritesLost                   // at a loss of power, in a file
	WritesTorn                   // the same: some sectors were written
	WritesKept                   // the same: all were
	numFaults
)

var faultNames = [numFaults]string{
	PowerLoss: "power loss", PowerLossOfAll: "power loss of all", LeaderPowerLoss: "power loss of the leader",
	ConnectionCut: "connection cut", SyncCut: "connection cut during synchronisation", Refused: "connection refused",
	RepeatedVote: "vote repeated", Isolated: "member isolated", LeaderIsolated: "leader isolated", OneWay: "one-way partition",
	Halves: "partition in two", SlowDisk: "slow disk", SlowNetwork: "slow network", Stall: "member stalls",
	LeaderStall: "leader stalls", HalfOpen: "half-open connections", ClientCut: "client cut off",
	SplitAndRestart: "partition with restarts", Ambush: "fault at a change of the membership",
	Ring: "ring", Bridge: "bridge", Minority: "minority cut off", SlowWay: "one way slow: messages overtaken", Lossy: "connections break",
	ClockJump: "clock jump", Kill: "process killed", FsyncError: "failed fsync", DiskFull: "full disk",
	RotLog: "bit rot in an old log", RotSnapshot: "bit rot in a snapshot", RotRefused: "start refused for damage",
	Wiped: "member wiped", NewDisk: "member with a new disk", RollingRestart: "rolling restart", DeathInWrite: "death within a write", OldMember: "member of an older version",
	WritesLost: "unsynced writes lost", WritesTorn: "unsynced writes torn", WritesKept: "unsynced writes kept",
}

func (f Fault) String() string { return faultNames[f] }

// Faults counts the faults of each kind.
type Faults [numFaults]int

// String is a table.
func (f Faults) String() string {
	var b strings.Builder
	for i, n := range f {
		fmt.Fprintf(&b, "%10d  %v\n", n, Fault(i))
	}
	return b.String()
}

// inject counts a fault.
func (w *World) inject(f Fault) { w.faults[f]++ }
