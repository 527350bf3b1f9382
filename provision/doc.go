// Package provision carries out operations on an ensemble: bootstrap, start, stop, restart, rolling restart, status.
//
// An operation observes (all hosts at once, few round trips), decides (a Plan, which is data and can be printed), changes
// (every change passes one function, Run.change, where a dry run ends) and verifies. Nothing is remembered between two
// runs but what can be observed on the hosts: a run that was cut off is finished by running it again.
//
// Stopping a member needs permission: arithmetic on what was observed a moment before; see MayStop. No timeout ever
// turns into permission.
//
// Not here: flags, terminals, exit codes; see cmd/zkctl. What a host must look like is the business of hostprep, keys of
// sshkeys, file contents of templates.
package provision
