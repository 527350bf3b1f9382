package config

import (
	"fmt"
	"slices"
	"strings"
)

// Flags are words as on the command line of a JVM: -Dname=value gives a system property of that name, which is
// "zookeeper." and a key of zoo.cfg, or one of the few names without it.
type Flags struct {
	// Source says where they were given, for messages: "the command line", or the name of an environment variable.
	Source string
	Words  []string
}

// commandLine is the source of what is given there.
const commandLine = "the command line"

// IsFlag says whether a word of a command line is one for a JVM.
func IsFlag(word string) bool { return strings.HasPrefix(word, "-D") || strings.HasPrefix(word, "-X") }

// withoutPrefix are the keys that are system properties under their bare names.
var withoutPrefix = []string{
	"jute.maxbuffer", "readonlymode.enabled", "znode.container.checkIntervalMs", "znode.container.maxPerMinute",
	"znode.container.maxNeverUsedIntervalMs", "follower.nodelay", "leader.nodelay", "fsync.warningthresholdms",
	"java.security.auth.login.config",
}

// fileOnly are the keys that QuorumPeerConfig reads by name, and are therefore no system properties.
var fileOnly = []string{
	"dataDir", "dataLogDir", "clientPort", "clientPortAddress", "secureClientPort", "secureClientPortAddress",
	"observerMasterPort", "clientPortListenBacklog", "tickTime", "minSessionTimeout", "maxSessionTimeout",
	"maxClientCnxns", "initLimit", "syncLimit", "connectToLearnerMasterLimit", "electionAlg", "quorumListenOnAllIPs",
	"peerType", "syncEnabled", "dynamicConfigFile", "autopurge.snapRetainCount", "autopurge.purgeInterval",
	"standaloneEnabled", "reconfigEnabled", "localSessionsEnabled", "localSessionsUpgradingEnabled", "sslQuorum",
	"portUnification", "sslQuorumReloadCertFiles", "quorum.auth.enableSasl", "quorum.auth.serverRequireSasl",
	"quorum.auth.learnerRequireSasl", "quorum.auth.learner.saslLoginContext", "quorum.auth.server.saslLoginContext",
	"quorum.auth.kerberos.servicePrincipal", "quorum.cnxn.threads.size", "jvm.pause.monitor",
	"jvm.pause.info-threshold.ms", "jvm.pause.warn-threshold.ms", "jvm.pause.sleep.time.ms", "oraclePath",
}

func isFileOnly(key string) bool {
	return slices.Contains(fileOnly, key) || strings.HasPrefix(key, "metricsProvider.") ||
		isMemberKey(key) && whyUnneeded(key) == "" // server.realm is no server
}

// PropertyName is the system property that gives a key of zoo.cfg; "" for a key that has to stand there.
func PropertyName(key string) string {
	switch {
	case slices.Contains(withoutPrefix, key):
		return key
	case isFileOnly(key):
		return ""
	}
	return "zookeeper." + key
}

// flags reads system properties. What is none of them, or none of ours, is noticed.
func (p *parser) flags(all []Flags) []property {
	var properties []property
	for _, f := range all {
		var other []string
		hidden := 0
		for i, word := range f.Words {
			definition, ok := strings.CutPrefix(word, "-D")
			switch {
			case ok:
				name, value, _ := strings.Cut(definition, "=")
				at := property{key: name, value: strings.TrimSpace(value), line: i + 1, source: f.Source, shown: "-D" + name}
				if p.isProperty(&at) {
					properties = append(properties, at)
				}
			case strings.HasPrefix(word, "-X"):
				other = append(other, word)
			default:
				hidden++ // it may be the end of a password with a blank in it
			}
		}
		if len(other) > 0 {
			p.noticeFlags(f.Source, strings.Join(other, " "), "flags of a JVM, which this server does without", "")
		}
		if hidden > 0 {
			p.noticeFlags(f.Source, fmt.Sprintf("%d more words", hidden), "neither -Dname=value nor a flag of a JVM, ignored", "blanks separate words, quotes do not join them")
		}
	}
	return properties
}

func (p *parser) noticeFlags(source, words, what, remedy string) {
	p.config.Notices = append(p.config.Notices, Problem{File: source, Key: words, What: what, Remedy: remedy})
}

// isProperty finds the key that a system property gives. A property that gives none is noticed.
func (p *parser) isProperty(at *property) bool {
	name, prefixed := strings.CutPrefix(at.key, "zookeeper.")
	key := canonical(name)
	switch {
	case isFileOnly(key):
		p.notice(*at, "no system property, ignored", "write it into zoo.cfg as "+key)
	case prefixed || slices.Contains(withoutPrefix, key):
		at.key = key
		return true
	case slices.Contains(knownNames, key):
		p.notice(*at, "no system property, ignored", "write -D"+PropertyName(key))
	default:
		p.notice(*at, "a property of a JVM or of its libraries, which this server does without", "")
	}
	return false
}

// Standalone checks the command line "clientPort dataDir [tickTime [maxClientCnxns]]" of a server that is no member of an
// ensemble and has no zoo.cfg. As in Apache ZooKeeper's ServerConfig, connections of one address are not limited
// without the last argument.
func Standalone(args []string, flags ...Flags) (*Config, error) {
	names := []string{"clientPort", "dataDir", "tickTime", "maxClientCnxns"}
	p := newParser("")
	p.config.MaxClientCnxns = 0
	properties := p.flags(flags)
	for i, value := range args[:min(len(args), len(names))] {
		properties = append(properties, property{key: names[i], value: value, line: i + 1, source: commandLine, shown: names[i]})
	}
	p.takeAll(properties)
	p.check()
	return p.result()
}
