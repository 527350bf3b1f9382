// Package inventory reads the description of an ensemble: its hosts, how to reach them, and what each of them should
// run. Reading is strict. An unknown key, a value of the wrong type, a conflict between two hosts: every problem is
// reported with file, line and column, all of them at once.
//
// The file has one section per concern (ssh, become, server, zoo_cfg, zoo_cfg_extra, tls, system). Each section may be
// repeated in a host's entry, where it overrides key by key. A Host holds the result with every default filled in, so
// that nothing downstream merges anything.
//
// Not here: connecting, asking for passwords, knowing what the hosts look like.
package inventory

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Inventory is one ensemble as its operator wants it. Load and Parse return only inventories without problems.
type Inventory struct {
	// File is the path it was read from, "" for data that came from elsewhere.
	File string
	// OneOf is the number of ensembles in File.
	OneOf int
	// Name is the ensemble's name.
	Name string
	// Hosts are the members in the order of the file, which is the order of every output and of the start.
	Hosts []Host
	// Warnings are things that work but may not be meant, such as an even number of voters.
	Warnings []Problem
}

// Role is what a member does in the quorum.
type Role string

// The roles of a member. A voter is a participant in zoo.cfg's words.
const (
	Voter    Role = "voter"
	Observer Role = "observer"
)

// Connection is how a host is reached.
type Connection string

// The connections of a host.
const (
	OverSSH Connection = "ssh"
	Local   Connection = "local"
)

// Host is one member with all overrides and defaults resolved.
type Host struct {
	// Name is unique in the ensemble and the host's name in /etc/hosts.
	Name string
	// Address is what we dial.
	Address string
	// PeerAddress is what the other members dial; it stands in server lines and /etc/hosts. Address where not set.
	PeerAddress string
	// ID is the server id, 1 to 255.
	ID   int
	Role Role
	// Group is where a voter's weight counts, 0 where the ensemble has neither groups nor weights and Weight means nothing.
	Group, Weight int
	// Labels are words by which people choose hosts: a rack, a site; see Limit.
	Labels     []string
	Connection Connection

	SSH    SSH
	Become Become
	Server Server
	// ZooCfg are further zoo.cfg settings by key, known and extra ones together.
	ZooCfg map[string]string
	TLS    TLS
	System System

	places map[string]Place
}

// SSH says how to log in. What the file does not say comes from ssh_config, as it does for ssh itself, then from the
// defaults.
type SSH struct {
	// Config is the ssh_config file, "none" for no file, "" for ~/.ssh/config and /etc/ssh/ssh_config.
	Config        string   `yaml:"config" kind:"localpath-or-none"`
	User          string   `yaml:"user"`
	Port          int      `yaml:"port" range:"1-65535"`
	IdentityFiles []string `yaml:"identity_files" kind:"localpath"`
	// IdentitiesOnly keeps the agent from offering other keys than those of IdentityFiles.
	IdentitiesOnly bool     `yaml:"identities_only"`
	Certificates   []string `yaml:"certificates" kind:"localpath"`
	Agent          bool     `yaml:"agent"`
	Password       Secret   `yaml:"password"`
	Passphrase     Secret   `yaml:"passphrase"`
	// Jump are the jump hosts on the way, each [user@]host[:port].
	Jump         []string `yaml:"jump"`
	JumpPassword Secret   `yaml:"jump_password"`
	// ProxyCommand is a command that connects, as in ssh_config.
	ProxyCommand  string   `yaml:"proxy_command"`
	HostKeyPolicy string   `yaml:"host_key_policy" oneof:"strict|ask|accept-new|off"`
	KnownHosts    []string `yaml:"known_hosts" kind:"localpath"`
	// ConnectWait bounds one connection, Wait is how long to try again on a host that is still being made.
	ConnectWait time.Duration `yaml:"connect_timeout"`
	Wait        time.Duration `yaml:"wait"`

	// What no key of the file says: Jump resolved, and what ssh_config alone has.
	Jumps        []Jump
	HostKeyAlias string
	AgentSocket  string

	jumpsOfSSH bool // Jump comes from ssh_config
}

// Become says how to act as root.
type Become struct {
	// Method is auto (nothing for root, else sudo, or doas where there is no sudo), none, sudo or doas.
	Method   string `yaml:"method" oneof:"auto|none|sudo|doas"`
	Password Secret `yaml:"password"`
}

// Secret is a reference to a secret, never the secret itself. The zero value means that there is none.
type Secret struct {
	// Prompt asks on the terminal.
	Prompt bool `yaml:"prompt"`
	// Env names an environment variable, File a file whose first line is the secret.
	Env  string `yaml:"env"`
	File string `yaml:"file" kind:"localpath"`
}

// IsZero reports whether no secret is referred to.
func (s Secret) IsZero() bool { return s == Secret{} }

// Kind is an implementation of the server.
type Kind string

// The kinds of servers.
const (
	Zkserver Kind = "zkserver"
	Apache   Kind = "apache"
)

// Server says what the member runs and where. What is about Apache ZooKeeper only means nothing to a zkserver, so that an
// inventory may go from one kind to the other and back.
type Server struct {
	Kind Kind `yaml:"kind" oneof:"zkserver|apache"`
	// Archive is a release of Apache ZooKeeper on this machine, Package the distribution's package of it on the host. A
	// server of the kind Apache has one of the two.
	Archive string `yaml:"archive" kind:"localpath"`
	Package string `yaml:"package" form:"package"`
	// Java says whether a Java that the host lacks is installed from its packages or is an error.
	Java string `yaml:"java" oneof:"check|install"`
	// JavaHome is the Java to use on the host; "" looks for one.
	JavaHome string `yaml:"java_home" kind:"hostpath"`
	// Heap bounds the heap, in java's words, and JVMFlags are further words for java.
	Heap     string   `yaml:"heap" form:"heap"`
	JVMFlags []string `yaml:"jvm_flags" form:"flag"`
	// Logging says where the log goes: to the console, which is the journal or a supervisor's file, or to a rolling file.
	Logging string `yaml:"logging" oneof:"console|file"`

	// Version is "bundled", or the version that the server binary or the archive must have.
	Version string `yaml:"version"`
	// File is a zkserver on this machine, which is zkcli as well, to push instead of the bundled one.
	File string `yaml:"file" kind:"localpath"`
	// User owns the data and runs the server. On a local member without root it is ignored.
	User string `yaml:"user"`
	// Service names the unit, the profile script and the init script.
	Service string `yaml:"service"`
	Ports   Ports  `yaml:"ports"`
	Paths   Paths  `yaml:"paths"`
	// FourLetterWords are the words that clients may send.
	FourLetterWords []string `yaml:"four_letter_words" form:"word"`
	// OpenFiles is the limit of open files.
	OpenFiles int `yaml:"open_files" range:"64-1048576"`
}

// Ports of a member. Metrics 0 means no metrics endpoint. Secure is open where clients may speak TLS.
type Ports struct {
	Client   int `yaml:"client" range:"1-65535"`
	Secure   int `yaml:"secure" range:"1-65535"`
	Peer     int `yaml:"peer" range:"1-65535"`
	Election int `yaml:"election" range:"1-65535"`
	Metrics  int `yaml:"metrics" range:"0-65535"`
}

// Paths on the host, all absolute after loading. TxnLog equals Data where the file does not say.
type Paths struct {
	Data    string `yaml:"data" kind:"hostpath"`
	TxnLog  string `yaml:"txn_log" kind:"hostpath"`
	Install string `yaml:"install" kind:"hostpath"`
	Config  string `yaml:"config" kind:"hostpath"`
	Log     string `yaml:"log" kind:"hostpath"`
}

// TLS says where members speak TLS, and where certificates come from.
type TLS struct {
	// Client is whether clients may or must speak TLS, Quorum whether members do so among themselves. Both are the same
	// for all members, and so is Authority.
	Client string `yaml:"client" oneof:"off|optional|required"`
	Quorum string `yaml:"quorum" oneof:"off|on"`
	// ClientAuth says whether clients have to show a certificate.
	ClientAuth string `yaml:"client_auth" oneof:"none|want|need"`
	// Authority is own where zkctl issues the certificates, files where they are given.
	Authority string `yaml:"ca" oneof:"own|files"`
	// Days is how long certificates of the own authority are valid, Names what they are for besides the host's name and
	// addresses, Passphrase that of the authority's key.
	Days       int      `yaml:"days" range:"1-3650"`
	Names      []string `yaml:"names"`
	Passphrase Secret   `yaml:"passphrase"`
	// The given files, all PEM: whom members trust, the member's certificate with its chain and key, and those with which
	// zkctl itself comes to members.
	CAFile               string `yaml:"ca_file" kind:"localpath"`
	CertificateFile      string `yaml:"certificate_file" kind:"localpath"`
	KeyFile              string `yaml:"key_file" kind:"localpath"`
	ZkctlCertificateFile string `yaml:"zkctl_certificate_file" kind:"localpath"`
	ZkctlKeyFile         string `yaml:"zkctl_key_file" kind:"localpath"`
}

// On reports whether anything is spoken over TLS.
func (t TLS) On() bool { return t.Client != "off" || t.Quorum != "off" }

// System says how far the host itself is prepared.
type System struct {
	// SSHKeys exclusive is manage, and lets zkctl keys sync remove all other keys from authorized_keys.
	SSHKeys string `yaml:"ssh_keys" oneof:"manage|exclusive|leave"`
	// AuthorizedKeys are files with the public keys of people who may log in, too.
	AuthorizedKeys []string `yaml:"authorized_keys" kind:"localpath"`
	KeyType        string   `yaml:"ssh_key_type" oneof:"ed25519|rsa"`
	HostsFile      string   `yaml:"hosts_file" oneof:"manage|leave"`
	Firewall       string   `yaml:"firewall" oneof:"disable|open-ports|trust-peers|leave"`
	// FirewallClients are the networks whose clients are let in where the firewall runs; nil means all.
	FirewallClients []netip.Prefix `yaml:"firewall_clients"`
	SELinux         string         `yaml:"selinux" oneof:"disabled|permissive|leave"`
	// Sysctl are kernel parameters by name.
	Sysctl    map[string]string `yaml:"sysctl"`
	HugePages string            `yaml:"transparent_huge_pages" oneof:"leave|madvise|never"`
	Swap      string            `yaml:"swap" oneof:"leave|off"`
	Limits    Limits            `yaml:"limits"`
	// Hostname set makes the host call itself by its name here.
	Hostname string        `yaml:"hostname" oneof:"leave|set"`
	Profile  string        `yaml:"profile" oneof:"manage|leave"`
	Service  string        `yaml:"service_manager" oneof:"auto|systemd|openrc|supervisor"`
	MaxSkew  time.Duration `yaml:"max_clock_skew"`
	MinFree  int           `yaml:"min_free_mib" range:"0-1073741824"`
}

// ClientPort is the port at which clients are served: the one for TLS where that is required.
func (h Host) ClientPort() int {
	if h.TLS.Client == "required" {
		return h.Server.Ports.Secure
	}
	return h.Server.Ports.Client
}

// Limits are those of the user who runs the server; 0 sets none.
type Limits struct {
	NoFile int `yaml:"nofile" range:"64-1048576"`
}

// OpenFiles is how many files the server may open.
func (h Host) OpenFiles() int { return max(h.Server.OpenFiles, h.System.Limits.NoFile) }

// ClientAddress is host:port of the member's client port as we reach it.
func (h Host) ClientAddress() string {
	return net.JoinHostPort(h.Address, strconv.Itoa(h.ClientPort()))
}

// ConnectString is what a client of the whole ensemble is given: the client addresses of all members, joined by commas.
func (inv *Inventory) ConnectString() string {
	var s string
	for i, h := range inv.Hosts {
		if i > 0 {
			s += ","
		}
		s += net.JoinHostPort(h.PeerAddress, strconv.Itoa(h.ClientPort()))
	}
	return s
}

// Voters counts the members that vote.
func (inv *Inventory) Voters() int {
	n := 0
	for _, h := range inv.Hosts {
		if h.Role == Voter {
			n++
		}
	}
	return n
}

// Host returns the member of that name, or nil.
func (inv *Inventory) Host(name string) *Host {
	for i := range inv.Hosts {
		if inv.Hosts[i].Name == name {
			return &inv.Hosts[i]
		}
	}
	return nil
}

// defaults are the settings of a host about which the file says nothing.
func defaults(connection Connection) settings {
	s := settings{
		SSH:    SSH{Agent: true, ConnectWait: 10 * time.Second},
		Become: Become{Method: "auto"},
		Server: Server{
			Kind: Zkserver, Java: "check", Heap: "512m", Logging: "console",
			Version: "bundled",
			User:    "zookeeper",
			Service: "zookeeper",
			Ports:   Ports{Client: 2181, Secure: 2281, Peer: 2888, Election: 3888, Metrics: 7000},
			Paths: Paths{
				Data: "/var/lib/zookeeper", Install: "/opt/zookeeper", Config: "/etc/zookeeper", Log: "/var/log/zookeeper",
			},
			FourLetterWords: []string{"srvr", "stat", "mntr", "conf", "cons", "ruok", "isro", "envi"},
			OpenFiles:       65536,
		},
		ZooCfg: map[string]string{
			"tickTime": "2000", "initLimit": "10", "syncLimit": "5",
			"autopurge.snapRetainCount": "5", "autopurge.purgeInterval": "6",
		},
		TLS: TLS{Client: "off", Quorum: "off", ClientAuth: "need", Authority: "own", Days: 365},
		System: System{
			SSHKeys: "manage", KeyType: "ed25519", HostsFile: "manage", Firewall: "disable", SELinux: "disabled",
			HugePages: "leave", Swap: "leave", Hostname: "leave", Profile: "manage", Service: "auto", MaxSkew: 5 * time.Second, MinFree: 512,
		},
	}
	if connection == Local {
		// A member on this machine is somebody's workstation until the file says otherwise.
		s.Become.Method = "none"
		s.System.SSHKeys, s.System.HostsFile, s.System.Firewall = "leave", "leave", "leave"
		s.System.SELinux, s.System.Profile = "leave", "leave"
		s.System.MinFree = 64
	}
	return s
}
