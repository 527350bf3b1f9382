// Package hostprep knows what a host must look like before a server can run on
// it: names in /etc/hosts, firewall, SELinux, free ports, disk space, clocks.
//
// One script gathers the Facts of a host in one round trip. Planners are pure
// functions from Facts and a policy to Changes; checks are pure functions from
// the Facts of all hosts to Findings. Nothing here acts on a host except
// Change.Exec, so that a plan can be printed, compared and dropped.
package hostprep
