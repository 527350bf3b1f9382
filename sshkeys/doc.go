// Package sshkeys makes every host of an ensemble able to log in to every other
// one by SSH, by name and by address, without a password and without a question.
//
// It works in three steps, each a function from what was observed to changes:
// a key pair for hosts that have none (PlanKeyPair), then the public keys of all
// in the authorized_keys of each and the host keys of all in the known_hosts of
// each (PlanMesh), then the proof, which really logs in (Prove).
//
// Nothing that others wrote is lost: an existing key pair is used, foreign lines
// stay byte for byte, lines with options stay as they are. The only lines that go
// are those of known_hosts that give a member a host key which it no longer has.
// Private keys are made on their hosts and never leave them.
package sshkeys
