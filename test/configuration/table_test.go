// Package configuration holds docs/configuration.md to its word: what its tables say of each key is what the server does
// with it, no key of the server is missing there, and none of Apache ZooKeeper.
package configuration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/config"
)

const document = "../../docs/configuration.md"

// row is one line of a table: a key, the system property that gives it, its default, an example, and what this server does
// with it.
type row struct {
	key, property, byDefault, example string
	does                              string // works, notice or refused
	line                              int
}

func rows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	for i, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) < 6 {
			continue
		}
		for j := range cells {
			cells[j] = strings.TrimSpace(strings.Trim(cells[j], "|"))
		}
		all = append(all, row{literal(cells[0]), literal(cells[1]), cells[2], literal(cells[3]), cells[4], i + 1})
	}
	if len(all) < 200 {
		t.Fatalf("%s has only %d rows", document, len(all))
	}
	return all
}

// literal is what stands between backquotes, or nothing.
func literal(cell string) string {
	if len(cell) < 2 || cell[0] != '`' || cell[len(cell)-1] != '`' {
		return ""
	}
	return cell[1 : len(cell)-1]
}

// name is a key as somebody can write it: one of those for which the placeholder stands.
func (r row) name() string {
	for placeholder, instance := range map[string]string{"server.N": "server.1", "group.G": "group.1", "weight.N": "weight.1",
		"authProvider.ID": "authProvider.1", "superUser.SUFFIX": "superUser.2"} {
		if r.key == placeholder {
			return instance
		}
	}
	return r.key
}

// companions are the lines without which a key is not accepted.
var companions = map[string]string{
	"clientPortAddress":        "clientPort=2181",
	"secureClientPort":         tlsStores,
	"secureClientPortAddress":  "secureClientPort=2281\n" + tlsStores,
	"client.portUnification":   tlsStores,
	"weight.N":                 "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\ninitLimit=5\nsyncLimit=5",
	"group.G":                  "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=5\nsyncLimit=5",
	"peerType":                 "server.1=a:1:2:observer\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\ninitLimit=5\nsyncLimit=5",
	"dynamicConfigFile":        "initLimit=5\nsyncLimit=5",
	"standaloneEnabled":        "server.1=a:1:2\ninitLimit=5\nsyncLimit=5",
	"metricsProvider.httpHost": prometheus, "metricsProvider.httpPort": prometheus,
	"metricsProvider.httpsPort":                prometheus + "\n" + strings.ReplaceAll(tlsStores, "ssl.", "metricsProvider.ssl."),
	"admin.needClientAuth":                     "admin.portUnification=true\n" + strings.ReplaceAll(tlsStores, "ssl.", "ssl.quorum."),
	"admin.portUnification":                    strings.ReplaceAll(tlsStores, "ssl.", "ssl.quorum."),
	"admin.forceHttps":                         strings.ReplaceAll(tlsStores, "ssl.", "ssl.quorum."),
	"ensembleAuthName":                         provider("Ensemble"),
	"enforce.auth.schemes":                     "enforce.auth.enabled=true",
	"auditlog.file":                            "audit.enable=true",
	"enforce.auth.enabled":                     "enforce.auth.schemes=digest",
	"sessionRequireClientSASLAuth":             login,
	"SASLAuthenticationProvider.superPassword": login,
	"java.security.auth.login.config":          provider("SASL"),
	"sasl.usersFile":                           provider("SASL"),
	"quorum.auth.enableSasl":                   quorumLogin,
	"quorum.auth.learnerRequireSasl":           quorumLogin + "\nquorum.auth.enableSasl=true",
	"quorum.auth.serverRequireSasl":            quorumLogin + "\nquorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true",
	"quorum.auth.learner.saslLoginContext":     quorumLogin + "\nquorum.auth.enableSasl=true",
	"quorum.auth.server.saslLoginContext":      quorumLogin + "\nquorum.auth.enableSasl=true",
	"sasl.serverconfig":                        login,
	"server.N":                                 "server.2=b:1:2\nserver.3=c:1:2\ninitLimit=5\nsyncLimit=5",
}

// tlsStores are those without which nobody can speak TLS.
const tlsStores = "ssl.keyStore.location=../../server/keystore/testdata/ec.pem\nssl.trustStore.location=../../server/keystore/testdata/trust.pem"

const prometheus = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"

// login are users of SASL.
var login = provider("SASL") + "\njava.security.auth.login.config=/etc/zookeeper/jaas.conf"

// quorumLogin makes a member of an ensemble with users of its members.
var quorumLogin = login + "\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=5\nsyncLimit=5"

func provider(name string) string {
	return "authProvider." + name + "=org.apache.zookeeper.server.auth." + name + "AuthenticationProvider"
}

// files are those that examples name.
var files = map[string]string{
	"zoo.cfg.dynamic.100000000": "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n",
	"jaas.conf": "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_super=\"s\"; };\n" +
		"QuorumServer { org.apache.zookeeper.server.auth.DigestLoginModule required user_zk=\"z\"; };\n" +
		"Peer { org.apache.zookeeper.server.auth.DigestLoginModule required user_peer=\"z\"; };\n" +
		"QuorumLearner { org.apache.zookeeper.server.auth.DigestLoginModule required username=\"zk\" password=\"z\"; };\n" +
		"Learner { org.apache.zookeeper.server.auth.DigestLoginModule required username=\"learner\" password=\"z\"; };\n",
	"users": "bob:b\n",
}

// noticed are the keys whose example works and is warned of all the same, with a part of the warning.
var noticed = map[string]string{
	"forceSync": "acknowledged writes are lost",
	"fips-mode": "only approved algorithms are used",
}

// anything are the keys for which every text is a value.
var anything = []string{
	"4lw.commands.whitelist", // words that are none are warned of
	"ssl.keyStore.password", "ssl.trustStore.password", "ssl.quorum.keyStore.password", "ssl.quorum.trustStore.password",
	"metricsProvider.ssl.keyStore.password", "metricsProvider.ssl.trustStore.password",
	"metricsProvider.httpHost", "metricsProvider.exportJvmInfo", "admin.enableServer",
}

// unchanged are the keys that work with values that say what is so anyway.
var unchanged = []string{"audit.impl.class", "peerType", "dynamicConfigFile", "admin.enableServer", "metricsProvider.exportJvmInfo"}

// try is one configuration: the outcome of a key with a value, given in zoo.cfg or, with a property, in its stead.
type try struct {
	config  *config.Config
	notices []string
	refused bool
}

func attempt(t *testing.T, r row, property, value string, given bool) try {
	t.Helper()
	dir := t.TempDir()
	lines := []string{"dataDir=" + dir}
	if r.key == "dataDir" {
		lines = nil
	}
	if r.key != "clientPort" && !strings.Contains(companions[r.key], "clientPort=") && r.key != "server.N" {
		lines = append(lines, "clientPort=2181")
	}
	var flags []config.Flags
	switch {
	case !given:
		if r.key == "server.N" || r.key == "dataDir" {
			t.Fatalf("%s has no default", r.key)
		}
	case property != "":
		flags = []config.Flags{{Source: "FLAGS", Words: []string{"-D" + property + "=" + value}}}
	default:
		lines = append(lines, r.name()+"="+value)
	}
	lines = append(lines, strings.Split(companions[r.key], "\n")...)
	write(t, filepath.Join(dir, "myid"), "1\n")
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "/etc/zookeeper/"+name, filepath.Join(dir, name))
		}
		for _, f := range flags {
			f.Words[0] = strings.ReplaceAll(f.Words[0], "/etc/zookeeper/"+name, filepath.Join(dir, name))
		}
	}
	file := filepath.Join(dir, "zoo.cfg")
	write(t, file, strings.Join(lines, "\n")+"\n")
	c, err := config.Load(file, flags...)
	var refused *config.Error
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var notices []string
	if c != nil {
		for _, p := range c.Notices {
			if strings.TrimPrefix(p.Key, "-D") == r.name() || p.Key == "-D"+property {
				notices = append(notices, p.String())
			}
		}
		c.Source = config.Source{}
		c.Notices, c.File, c.DataDir, c.DataLogDir = nil, "", strings.ReplaceAll(c.DataDir, dir, "$DIR"), strings.ReplaceAll(c.DataLogDir, dir, "$DIR")
	}
	return try{c, notices, err != nil}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTable(t *testing.T) {
	for _, r := range rows(t) {
		t.Run(r.key, func(t *testing.T) {
			if want := config.PropertyName(r.name()); r.property != strings.Replace(want, r.name(), r.key, 1) {
				t.Errorf("line %d: the property is %q", r.line, want)
			}
			if problem := r.check(t); problem != "" {
				t.Errorf("line %d: %s", r.line, problem)
			}
		})
	}
}

// check says what is not as the row has it.
func (r row) check(t *testing.T) string {
	property := config.PropertyName(r.name())
	file := attempt(t, r, "", r.example, true)
	if problem := r.outcome(file); problem != "" {
		return "in zoo.cfg, the example " + problem
	}
	if property != "" {
		if problem := r.outcome(attempt(t, r, property, r.example, true)); problem != "" {
			return "as a property, the example " + problem
		}
	} else if r.key != "dataDir" && r.key != "clientPort" { // without which there are other messages
		if flag := attempt(t, r, "zookeeper."+r.name(), r.example, true); !flag.refused && len(flag.notices) != 1 {
			return fmt.Sprintf("given as a property, where it has none: notices %q, want one", flag.notices)
		}
	}
	if r.does != "works" {
		return ""
	}
	if !slices.Contains(anything, r.key) && !slices.ContainsFunc([]string{"", "no such value", "-7"}, func(value string) bool {
		return attempt(t, r, "", value, true).refused
	}) {
		return "no value is refused"
	}
	if r.key == "dataDir" || r.key == "server.N" {
		return "" // without them there is nothing to compare with
	}
	absent := attempt(t, r, "", "", false)
	byDefault := literal(r.byDefault)
	if byDefault != r.example && !slices.Contains(unchanged, r.key) && reflect.DeepEqual(file.config, absent.config) {
		return "the example changes nothing"
	}
	if byDefault != "" && !reflect.DeepEqual(attempt(t, r, "", byDefault, true).config, absent.config) {
		return "giving the default changes something"
	}
	return ""
}

// outcome says what is wrong with what came of the example.
func (r row) outcome(got try) string {
	part, expected := noticed[r.key]
	switch {
	case r.does == "refused" && !got.refused:
		return "is accepted"
	case r.does == "refused":
	case got.refused:
		return "is refused"
	case r.does == "notice" && len(got.notices) != 1:
		return fmt.Sprintf("has the notices %q, want one", got.notices)
	case r.does == "works" && expected && (len(got.notices) != 1 || !strings.Contains(got.notices[0], part)):
		return fmt.Sprintf("has the notices %q, want one with %q", got.notices, part)
	case r.does == "works" && !expected && len(got.notices) > 0:
		return fmt.Sprintf("has the notices %q", got.notices)
	case r.does != "works" && r.does != "notice":
		return "does " + r.does
	}
	return ""
}

// The table has every key of the server, and the server every key of the table.
func TestComplete(t *testing.T) {
	known := config.Keys()
	if !slices.Contains(known, "tickTime") {
		t.Fatal("the server does not know tickTime")
	}
	in := make(map[string]bool)
	family := func(name string) (string, bool) {
		i := slices.IndexFunc(known, func(k string) bool {
			return (strings.HasSuffix(k, ".") || strings.HasSuffix(k, "_")) && strings.HasPrefix(name, k)
		})
		if i < 0 {
			return "", false
		}
		return known[i], true
	}
	for _, r := range rows(t) {
		if in[r.key] {
			t.Errorf("line %d: %s is in the table twice", r.line, r.key)
		}
		in[r.key] = true
		prefix, ok := family(r.key)
		in[prefix] = true
		if !ok && !slices.Contains(known, r.key) {
			t.Errorf("line %d: the server does not know %s", r.line, r.key)
		}
	}
	for _, name := range known {
		if !in[name] {
			t.Errorf("%s is missing in %s", name, document)
		}
	}
	text, err := os.ReadFile("testdata/apache-keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	keys := strings.Fields(string(text))
	if len(keys) < 200 {
		t.Fatalf("only %d keys of Apache ZooKeeper", len(keys))
	}
	for _, name := range keys {
		if !in[name] {
			t.Errorf("%s, a key of Apache ZooKeeper, is missing in %s", name, document)
		}
	}
}
