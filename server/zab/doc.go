// Package zab holds the two sides of ZooKeeper's atomic broadcast as values: Leader, and Learner (follower or
// observer). A role is told what happened (a packet, a finished disk write, a tick) and notes down, as effects, what
// its server must do; it has no clock, no disk and no socket of its own.
//
// A term of leadership has three parts, as in "Zab: High-performance broadcast for primary-backup systems":
//
//	discovery        FOLLOWERINFO, LEADERINFO, ACKEPOCH   a quorum promises to follow nobody older
//	synchronisation  DIFF | TRUNC | SNAP, NEWLEADER, ACK  a quorum has the leader's history on disk
//	broadcast        UPTODATE, then PROPOSAL, ACK, COMMIT
//
// The bytes are those of Apache ZooKeeper 3.8 (server.quorum.Leader, LearnerHandler, Learner), in both directions.
//
// What a role guarantees, whatever the other side does:
//
//  1. An ACK leaves only after everything it covers is durable: the txn and all before it, or, for the ACK of
//     NEWLEADER, every committed txn of the synchronisation and then currentEpoch.
//  2. acceptedEpoch is durable before the promise (ACKEPOCH, LEADERINFO) leaves.
//  3. Txns are proposed, logged, committed and delivered without holes, each zxid once.
//  4. A leader delivers nothing before a quorum acknowledged its history.
//  5. While a reconfiguration waits for its commit, all that needs a quorum needs one of the old and one of the new
//     membership: the promises of discovery, the ACKs of NEWLEADER, those of each txn, the signs of life.
//  6. What comes after the commit counts from those who have activated the new membership, durably, and from nobody else;
//     and no leader lets in learners whose committed membership is newer than its own.
//
// The last two keep servers that know only an old membership from going on without the others. A quorum of theirs has a
// member that saw the reconfiguration, if it was committed, and so has any leader that it elects, or it lacks history. Such a
// leader needs a quorum of the new membership, too; one of them has activated that, and stays away, if anything was ever
// decided by the new membership alone. See "Dynamic Reconfiguration of Primary/Backup Clusters" (Shraer, Reed, Malkhi,
// Junqueira), and "Memberships and reconfiguration" in docs/ARCHITECTURE.md for where Apache ZooKeeper differs.
//
// Not here: votes (package election), the tree and the sessions (package node), the files with memberships.
package zab
