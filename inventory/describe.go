package inventory

// describe is one sentence on a key, for editors; inventory.example.yaml says more. A key of a section is "section.key", one
// of a host "hosts.key".
func describe(path string) string { return descriptions[path] }

var descriptions = map[string]string{
	"name":       "The ensemble's name: in file headers, the marked block of /etc/hosts, and every output.",
	"connection": "How hosts are reached: ssh, or local for members on this machine.",
	"hosts":      "The members, in the order of their start.",

	"hosts.name":         "The host's name, unique in the ensemble, also in /etc/hosts.",
	"hosts.address":      "What zkctl dials: a name or an IP address. May be left away where ssh_config knows the host by its name.",
	"hosts.peer_address": "What the other members dial, where it differs from address.",
	"hosts.id":           "The server id, 1 to 255, never to be changed: data directories carry it.",
	"hosts.role":         "voter (default) or observer.",
	"hosts.connection":   "How this host is reached: ssh, or local.",

	"ssh":                 "How to log in. What is not said comes from ssh_config, then from the defaults.",
	"ssh.config":          "The ssh_config file; none for no file. Default: ~/.ssh/config.",
	"ssh.user":            "The user to log in as.",
	"ssh.port":            "The port of sshd.",
	"ssh.identity_files":  "Private keys, tried first. Of a key that the agent holds, the .pub file is enough.",
	"ssh.identities_only": "Of the agent's keys, use only those of identity_files.",
	"ssh.certificates":    "OpenSSH user certificates. KEY-cert.pub beside an identity file needs no mention.",
	"ssh.agent":           "Use the SSH agent, if there is one.",
	"ssh.password":        "The password of hosts that still want one, offered after the keys.",
	"ssh.passphrase":      "The passphrase of encrypted identity files. Default: it is asked for on the terminal.",
	"ssh.jump":            "Jump hosts in their order, each [user@]host[:port]. [] ignores those of ssh_config.",
	"ssh.jump_password":   "The password of the jump hosts.",
	"ssh.proxy_command":   "A command that connects to %h and %p, instead of jump hosts.",
	"ssh.host_key_policy": "strict: known hosts only; accept-new: record unknown ones; off: do not check.",
	"ssh.known_hosts":     "known_hosts files. New keys are added to the first.",
	"ssh.connect_timeout": "The time for connecting to a host and logging in.",
	"ssh.wait":            "How long to try again on a machine that is still being made, and to wait for cloud-init.",

	"become":          "How to become root on the hosts.",
	"become.method":   "auto: sudo, or doas where there is no sudo, unless we log in as root; sudo; doas; none.",
	"become.password": "The password of sudo or doas.",

	"server":                   "What the members run, and where.",
	"server.version":           "bundled, or the version that file must report.",
	"server.file":              "A server binary on this machine to push instead of the bundled one.",
	"server.user":              "The user who owns the data and runs the server; made if missing.",
	"server.service":           "The name of unit, profile script and init script.",
	"server.ports":             "The ports of a member.",
	"server.ports.client":      "The port for clients.",
	"server.ports.peer":        "The port on which followers reach the leader.",
	"server.ports.election":    "The port of the election.",
	"server.ports.metrics":     "The port of Prometheus metrics; 0 switches them off.",
	"server.paths":             "Directories on the host.",
	"server.paths.data":        "Snapshots and myid.",
	"server.paths.txn_log":     "Txn logs, best on a disk of their own. Default: the same as data.",
	"server.paths.install":     "Releases, the link current, and bin.",
	"server.paths.config":      "The directory of zoo.cfg.",
	"server.paths.log":         "The server's output on hosts without systemd.",
	"server.four_letter_words": "The four-letter words that clients may send.",
	"server.open_files":        "The limit of open files.",

	"zoo_cfg":       "Settings of zoo.cfg, checked. dataDir, ports and server lines are written by zkctl.",
	"zoo_cfg_extra": "Copied into zoo.cfg without a check of the key.",

	"system":                 "How far the hosts themselves are prepared. leave means: do not touch.",
	"system.ssh_keys":        "manage: every host logs in to every other by key; exclusive: zkctl keys sync takes all other keys out; leave.",
	"system.authorized_keys": "Files with the public keys of people who may log in, too.",
	"system.ssh_key_type":    "The type of keys that are made; an existing key is kept.",
	"system.hosts_file":      "manage: one marked block in /etc/hosts; leave.",
	"system.firewall":        "What happens to the host's firewall.",
	"system.selinux":         "What happens to SELinux.",
	"system.profile":         "manage: /etc/profile.d gets ZOOKEEPER_HOME and PATH; leave.",
	"system.service_manager": "systemd where the host runs it, else a supervisor; or one of them.",
	"system.max_clock_skew":  "The greatest difference between any two clocks.",
	"system.min_free_mib":    "The least free space on the file systems of data and txn_log.",
}
