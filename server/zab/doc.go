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
//
// Not here: votes (package election), the tree and the sessions (package node), reconfiguration.
package zab
