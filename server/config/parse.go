package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/jaas"
	"github.com/zkctl/zkctl/server/vfs"
)

// Load reads and checks a zoo.cfg, the dynamic file that it may name, and, for a member of an ensemble, myid. Of flags the
// later ones win, and zoo.cfg wins over all of them. What is wrong is returned as *Error, all of it at once.
func Load(file string, flags ...Flags) (*Config, error) { return LoadFrom(vfs.OS, file, flags...) }

// LoadFrom is Load from another file system than that of this machine.
func LoadFrom(disk vfs.FS, file string, flags ...Flags) (*Config, error) {
	text, err := vfs.ReadFile(disk, file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	p := newParser(file)
	p.disk = disk
	p.config.Source.Text = withoutSecrets(text)
	p.takeAll(append(p.flags(flags), p.static(text)...))
	if p.dynamicFile.line > 0 {
		p.readDynamic()
	}
	p.readLogins()
	p.check()
	if p.config.Distributed {
		p.readLastSeen()
		p.readMyID()
	}
	if len(p.problems) == 0 {
		p.readStores()
	}
	return p.result()
}

// Parse checks the text of a zoo.cfg without looking at any other file: ServerID stays 0, and the members of a
// dynamicConfigFile are unknown. file is the name for messages.
func Parse(file string, text []byte) (*Config, error) {
	p := newParser(file)
	p.takeAll(p.static(text))
	p.membersUnknown = p.dynamicFile.line > 0
	p.filesUnknown = true
	p.check()
	return p.result()
}

// parser collects one configuration and everything wrong with it.
type parser struct {
	disk     vfs.FS
	config   *Config
	problems []Problem

	keys map[string]key
	// seen has the last occurrence of each key of zoo.cfg.
	seen        map[string]property
	members     []property // server.N, group.G, weight.N in the order of the file
	membersFile string
	version     int64 // of the members
	// membersUnknown says that the file with the members was not read.
	membersUnknown bool
	// filesUnknown says that no file with users was read; logins are the sections of the one of Java.
	filesUnknown bool
	logins       map[string]jaas.Section
	dynamicFile  property
	peerType     property
}

func newParser(file string) *parser {
	p := &parser{
		config:      defaults(file),
		keys:        make(map[string]key, len(keys)),
		seen:        make(map[string]property),
		membersFile: file,
	}
	p.config.MinSessionTimeout, p.config.MaxSessionTimeout = -1, -1
	p.config.ExtraSizeBytes = -1
	p.config.SnapRetainCount = 3
	p.config.given = givenAccess{section: "Server", quorumServer: "QuorumServer", quorumLearner: "QuorumLearner"}
	for _, k := range keys {
		p.keys[k.name] = k
	}
	return p
}

func (p *parser) result() (*Config, error) {
	inOrder(p.problems)
	inOrder(p.config.Notices)
	p.config.given = givenAccess{}
	if len(p.problems) > 0 {
		return nil, &Error{p.problems}
	}
	return p.config, nil
}

func inOrder(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(lineOrder(a.Line), lineOrder(b.Line)))
	})
}

// lineOrder puts problems without a line behind those with one.
func lineOrder(line int) uint { return uint(line) - 1 }

func (p *parser) refuse(at property, what, remedy string) {
	p.problems = append(p.problems, p.problem(at, what, remedy))
}

// problem is one of a property that zoo.cfg, a flag or an argument gave, or that nobody gave.
func (p *parser) problem(at property, what, remedy string) Problem {
	if at.source != "" {
		return Problem{File: at.source, Key: at.shown, Value: at.value, What: what, Remedy: remedy}
	}
	return Problem{cmp.Or(p.config.File, commandLine), at.line, at.key, at.value, what, remedy}
}

func (p *parser) refuseMember(at property, what, remedy string) {
	p.problems = append(p.problems, Problem{p.membersFile, at.line, at.key, at.value, what, remedy})
}

func (p *parser) notice(at property, what, remedy string) {
	p.config.Notices = append(p.config.Notices, p.problem(at, what, remedy))
}

func (p *parser) noticeMember(at property, what, remedy string) {
	p.config.Notices = append(p.config.Notices, Problem{p.membersFile, at.line, at.key, at.value, what, remedy})
}

// static reads the keys of zoo.cfg.
func (p *parser) static(text []byte) []property {
	properties, bad := readProperties(text)
	for _, m := range bad {
		p.refuse(m.property, m.err.Error(), "write a backslash as two")
	}
	for i := range properties {
		properties[i].key = canonical(properties[i].key)
	}
	return properties
}

// canonical is the name under which keys and every other list here have a key of zoo.cfg.
func canonical(name string) string {
	name = strings.TrimPrefix(name, "zookeeper.")
	if other, ok := aliases[name]; ok {
		return other
	}
	return name
}

// takeAll takes keys; of equal ones the last counts.
func (p *parser) takeAll(properties []property) {
	last := make(map[string]int, len(properties))
	for i, property := range properties {
		last[property.key] = i
	}
	for i, property := range properties {
		if j := last[property.key]; i != j {
			p.notice(property, "given again "+p.where(property, properties[j])+", which counts", "remove one of them")
			continue
		}
		p.seen[property.key] = property
		p.noteGiven(property)
		p.take(property)
	}
}

// where says where a property is, to somebody who looks at another one.
func (p *parser) where(from, at property) string {
	switch {
	case at.source != "":
		return "in " + at.source
	case from.source != "":
		return fmt.Sprintf("in line %d of %s", at.line, p.config.File)
	}
	return fmt.Sprintf("in line %d", at.line)
}

func (p *parser) take(at property) {
	k, ok := p.keys[at.key]
	if !ok {
		k, ok = family(at.key)
	}
	if ok {
		if what, remedy := k.set(p.config, at.value); what != "" {
			p.refuse(at, what, remedy)
		}
		return
	}
	switch {
	case whyUnneeded(at.key) != "":
		p.notice(at, "has no effect: "+whyUnneeded(at.key), "")
	case isMemberKey(at.key):
		p.members = append(p.members, at)
	case at.key == "dynamicConfigFile":
		p.dynamicFile = at
		p.config.DynamicFile = at.value
	case at.key == "peerType":
		if value := strings.ToLower(at.value); value != "observer" && value != "participant" {
			p.refuse(at, "unknown role", "give participant or observer")
		}
		p.peerType = at
	default:
		remedy := "remove it"
		if near := nearest(at.key, knownNames); near != "" {
			remedy = "did you mean " + near + "?"
		}
		p.notice(at, "unknown key, ignored", remedy)
	}
}

func isMemberKey(name string) bool {
	return strings.HasPrefix(name, "server.") || strings.HasPrefix(name, "group.") || strings.HasPrefix(name, "weight.")
}

// check fills in what depends on several keys and refuses what does not fit together.
func (p *parser) check() {
	c := p.config
	switch {
	case c.DataDir == "" && p.seen["dataDir"].line == 0:
		p.refuse(property{key: "dataDir"}, "missing", "name the directory for snapshots and myid, such as dataDir=/var/lib/zookeeper")
	case c.DataDir != "" && !filepath.IsAbs(c.DataDir):
		p.notice(p.seen["dataDir"], "relative to the directory in which the server is started", "give an absolute path")
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	} else if !filepath.IsAbs(c.DataLogDir) {
		p.notice(p.seen["dataLogDir"], "relative to the directory in which the server is started", "give an absolute path")
	}
	if at := p.seen["clientPortAddress"]; at.line > 0 && p.seen["clientPort"].line == 0 {
		p.refuse(at, "given without clientPort", "give clientPort too, or remove it")
	}
	p.checkSessions()
	if !c.ForceSync {
		p.notice(p.seen["forceSync"], "acknowledged writes are lost when the machine loses power", "remove it")
	}
	c.Storage.complete()
	c.Quorum.complete()
	c.SnapRetainCount = max(c.SnapRetainCount, 3)
	c.CommitLogCount = max(c.CommitLogCount, 500)
	if c.ExtraSizeBytes < 0 {
		c.ExtraSizeBytes = c.MaxBufferBytes
	}
	c.ExtraSizeBytes = max(c.ExtraSizeBytes, 1024)
	for i, word := range c.FourLetterWords {
		if i > 0 && word != "*" && !isFourLetterWord(word) {
			p.notice(p.seen["4lw.commands.whitelist"], fmt.Sprintf("%q is not a four-letter word that this server knows", word), "remove it")
		}
	}
	p.checkMetrics()
	p.checkAdmin()
	p.checkAccess()
	p.checkAudit()
	p.checkMembers()
	p.checkQuorumSASL()
	p.checkTLS()
}

func (p *parser) checkSessions() {
	c := p.config
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout < 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.MinSessionTimeout <= c.MaxSessionTimeout {
		return
	}
	at := p.seen["minSessionTimeout"]
	if at.line == 0 {
		at = p.seen["maxSessionTimeout"]
	}
	p.refuse(at, fmt.Sprintf("minSessionTimeout (%d ms) is above maxSessionTimeout (%d ms)",
		c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds()),
		"give both, the smaller one first; their defaults are 2 and 20 ticks")
}

// fourLetterWords are the commands of the client port.
var fourLetterWords = []string{
	"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat", "stmk",
	"telnet close", "wchc", "wchp", "wchs",
}

func isFourLetterWord(word string) bool { return slices.Contains(fourLetterWords, word) }
