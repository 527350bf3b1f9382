package sim

import (
	"strings"

	"github.com/zkctl/zkctl/server/zab"
)

// Mutation is a server that is wrong on purpose, or a disk that is.
type Mutation struct {
	Name string
	// Seed is one that notices, with Mix.
	Seed   uint64
	Unsafe zab.Unsafe
	Lie    func(op, name string) bool
	// scene is what shows it, where ensembles at random rarely would; nil for Run.
	scene func(seed uint64, unsafe zab.Unsafe) error
	// Every is 3 for those that only changes of the membership show: these are in each third seed.
	Every uint64
}

// Mutations are mistakes in the protocol and around it, each of which some checker must notice.
var Mutations = []Mutation{
	// What must be on disk.
	{Name: "acknowledge proposals before the fsync", Seed: 1, Unsafe: zab.Unsafe{AckBeforeSync: true}},
	{Name: "acknowledge NEWLEADER before the history is durable", Seed: 1, Unsafe: zab.Unsafe{AckNewLeaderBeforeSync: true}},
	{Name: "do not save currentEpoch", Seed: 1, Unsafe: zab.Unsafe{ForgetCurrentEpoch: true}},
	{Name: "do not save acceptedEpoch", Seed: 1, Unsafe: zab.Unsafe{ForgetAcceptedEpoch: true}},
	{Name: "keep memory that is not on disk", Seed: 159, Unsafe: zab.Unsafe{KeepTainted: true}},
	{Name: "write logs without fsync", Seed: 1, Lie: lie("sync", "log.")},
	{Name: "write snapshots without fsync", Seed: 1, Lie: lie("sync", "snapshot.")},
	{Name: "write epochs without fsync", Seed: 1, Lie: lie("sync", "Epoch")},
	{Name: "create and rename files without fsync of the directory", Seed: 1, Lie: lie("syncdir", "")},

	// Elections and epochs.
	{Name: "the highest id wins elections", Seed: 5, Unsafe: zab.Unsafe{VoteByID: true}},
	{Name: "elections ignore epochs", Seed: 3, Unsafe: zab.Unsafe{IgnoreVoteEpoch: true}},
	{Name: "use an epoch that others have accepted", Seed: 982, Unsafe: zab.Unsafe{ReuseEpochs: true}},

	// Synchronisation.
	{Name: "no TRUNC", Seed: 6, Unsafe: zab.Unsafe{NoTrunc: true}},
	{Name: "leave a proposal out of DIFF", Seed: 2, Unsafe: zab.Unsafe{SkipInDiff: true}},
	{Name: "serve before a quorum acknowledged NEWLEADER", Seed: 231, Unsafe: zab.Unsafe{ServeEarly: true}},

	// Broadcast.
	{Name: "commit without a quorum", Seed: 6, Unsafe: zab.Unsafe{CommitAlone: true}},
	{Name: "apply proposals before their commit", Seed: 6, Unsafe: zab.Unsafe{DeliverProposals: true}},

	// Memberships.
	{Name: "commit with the old membership alone", Seed: 204, Every: 3, Unsafe: zab.Unsafe{CommitWithOldQuorum: true}},
	{Name: "commit with the new membership alone", Seed: 2, scene: oldGoesOn, Unsafe: zab.Unsafe{CommitWithNewQuorum: true}},
	{Name: "begin an epoch with the old membership alone", Seed: 1, scene: newGoesOn, Unsafe: zab.Unsafe{BeginWithOldQuorum: true}},
	{Name: "do not save the proposed membership", Seed: 3, Every: 3, Unsafe: zab.Unsafe{ForgetLastSeen: true}},
	{Name: "do not save the committed membership", Seed: 3, Every: 3, Unsafe: zab.Unsafe{ForgetMembers: true}},

	// Clients.
	{Name: "answer reads before the writes in front of them", Seed: 1, Unsafe: zab.Unsafe{ReadPastWrites: true}},
	{Name: "a leader without followers answers syncs", Seed: 6, scene: deposed, Unsafe: zab.Unsafe{AnswerSyncsAlone: true}},
	{Name: "followers answer syncs", Seed: 1, Unsafe: zab.Unsafe{SyncAlone: true}},
	{Name: "followers say that sessions are alive", Seed: 2, Unsafe: zab.Unsafe{RevalidateAlone: true}},
	{Name: "serve clients that have seen more", Seed: 340, Unsafe: zab.Unsafe{ServeAhead: true}},
	{Name: "events after the answers that show their causes", Seed: 2, Unsafe: zab.Unsafe{LateEvents: true}},
	{Name: "events before the commit", Seed: 2, Unsafe: zab.Unsafe{EarlyEvents: true}},
	{Name: "end sessions before their time", Seed: 12, Unsafe: zab.Unsafe{ExpireEarly: true}},
	{Name: "keep ephemeral nodes of sessions that are over", Seed: 1, Unsafe: zab.Unsafe{KeepEphemerals: true}},
	{Name: "number sequential nodes by the children there are", Seed: 1, Unsafe: zab.Unsafe{CountChildren: true}},
}

// run runs it with a seed.
func (m Mutation) run(seed uint64) Result {
	if m.scene != nil {
		return Result{Err: m.scene(seed, m.Unsafe)}
	}
	opts := Mix(seed)
	opts.Unsafe, opts.Lie = m.Unsafe, m.Lie
	return Run(seed, opts)
}

// lie is a disk that says that it has synced some files, and has not.
func lie(op, part string) func(string, string) bool {
	return func(o, name string) bool { return o == op && strings.Contains(name, part) }
}
