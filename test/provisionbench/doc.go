// Package provisionbench measures how fast zkctl makes hosts an ensemble, and counts the round trips.
//
// Its own hosts are namespaces of this machine: each has a network interface, process ids, a name and a root directory of
// its own (an overlay of this machine's, in memory), and an SSH server inside the test process that runs every command
// there. Scripts, files, ports, logins between hosts and zkservers are real; there is no systemd, no firewalld and no SELinux,
// so that zkctl's supervisor keeps the servers running. All of it lies in a namespace around the test and ends with it.
//
// The benchmark (build tag bench, see `make bench-provision`) also takes the test hosts of lab, which have all of that, and
// there lets Ansible do the same work.
package provisionbench
