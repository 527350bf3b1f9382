package hostprep

// Checks are all checks by the names that findings carry, in the order in which they are shown, with what each looks at.
var Checks = []struct{ Name, What string }{
	{"connect", "the host can be reached and lets us in"},
	{"privilege", "we can act as root where that is needed"},
	{"os", "the host runs Linux"},
	{"arch", "there is a server for its processor"},
	{"cpu", "there is more than one processor"},
	{"memory", "there is enough memory"},
	{"swap", "the server will not be swapped out"},
	{"limits", "the server may open as many files as the inventory says"},
	{"disk", "there is space where data and txn logs go"},
	{"filesystem", "data and txn logs go to a local, writable file system"},
	{"fsync", "a synced write is fast enough for the txn log"},
	{"clock", "the clock agrees with those of the other hosts"},
	{"timesync", "something keeps the clock right"},
	{"ports", "the ports are free, or our server has them"},
	{"network", "every host reaches every other on the members' ports"},
	{"names", "names mean the same address on every host, and no own name is a loopback address"},
	{"firewall", "no packet filter is in the way"},
	{"selinux", "SELinux is as the inventory says, now and after a reboot"},
	{"hosts-file", "/etc/hosts has the members and can be changed"},
	{"ssh-keys", "the exchange of SSH keys is possible"},
	{"data", "the data directory is empty, or this member's"},
	{"machine-id", "no two hosts have the same machine id"},
	{"leftovers", "nothing is left of servers and runs of zkctl that have ended"},
}
