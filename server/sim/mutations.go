package sim

import "github.com/zkctl/zkctl/server/zab"

// Mutation is a server that is wrong on purpose.
type Mutation struct {
	Name   string
	Unsafe zab.Unsafe
	// Seed is one that notices, with Mix.
	Seed uint64
}

// Mutations are mistakes in the protocol, each of which some checker must notice.
var Mutations = []Mutation{
	{"acknowledge before the fsync", zab.Unsafe{AckBeforeSync: true}, 1},
	{"acknowledge NEWLEADER before the fsync", zab.Unsafe{AckNewLeaderBeforeSync: true}, 1},
	{"commit without a quorum", zab.Unsafe{CommitAlone: true}, 4},
	{"do not save currentEpoch", zab.Unsafe{ForgetCurrentEpoch: true}, 1},
	{"do not save acceptedEpoch", zab.Unsafe{ForgetAcceptedEpoch: true}, 1},
	{"answer reads before the writes in front of them", zab.Unsafe{ReadPastWrites: true}, 1},
	{"keep memory that is not on disk", zab.Unsafe{KeepTainted: true}, 45},
	{"commit with the old membership alone", zab.Unsafe{CommitWithOldQuorum: true}, 120},
	{"do not save the proposed membership", zab.Unsafe{ForgetLastSeen: true}, 3},
	{"do not save the committed membership", zab.Unsafe{ForgetMembers: true}, 3},
}
