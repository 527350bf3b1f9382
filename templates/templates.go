// Package templates renders the files that a member needs on its host: zoo.cfg, myid, the scripts that ZooKeeper people
// type, and what starts the server at boot. The same inventory gives the same bytes.
//
// Not here: where the files go on disk in the end, and whether they are there already; see package provision.
package templates

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote/shell"
)

//go:embed files
var files embed.FS

var parsed = template.Must(template.New("").Option("missingkey=error").
	Funcs(template.FuncMap{"quote": func(words []string) string { return shell.Join(words...) }}).ParseFS(files, "files/*"))

// Manager is what keeps the server running on a host.
type Manager string

// The managers.
const (
	Systemd    Manager = "systemd"
	OpenRC     Manager = "openrc"
	Supervisor Manager = "supervisor"
)

// Member is what the templates are executed with: one host of an ensemble, and what manages its server.
type Member struct {
	Ensemble *inventory.Inventory
	Host     inventory.Host
	Manager  Manager
	// TLS is how far TLS is switched on; nil for as far as the inventory wants it.
	TLS *Stage
	// Apache is what is known of its Apache ZooKeeper, if it is to run one.
	Apache Apache
}

// Apache is what an Apache ZooKeeper is able to do.
type Apache struct {
	// Version is 0.0.0 where it is not known.
	Version apache.Version
	// Prometheus says that it has the provider of Prometheus metrics.
	Prometheus bool
}

// Setting is one line of zoo.cfg.
type Setting struct{ Key, Value string }

// ServerLine is one server.N line of zoo.cfg.
type ServerLine struct {
	ID   int
	Line string
}

// ZooCfg renders zoo.cfg: settings sorted by key, then the members sorted by id.
func ZooCfg(m Member) []byte { return m.render("zoo.cfg") }

// MyID renders the file myid.
func MyID(m Member) []byte { return []byte(strconv.Itoa(m.Host.ID) + "\n") }

// Profile renders the script for /etc/profile.d.
func Profile(m Member) []byte { return m.render("profile.sh") }

// Unit renders the systemd unit.
func Unit(m Member) []byte { return m.render("zookeeper.service") }

// SupervisorScript renders the loop that keeps the server running where there is neither systemd nor OpenRC, and under OpenRC
// what its supervise-daemon starts.
func SupervisorScript(m Member) []byte {
	if m.Manager == OpenRC {
		return m.render("launch.sh")
	}
	return m.render("supervisor.sh")
}

// OpenRCService renders OpenRC's script for /etc/init.d.
func OpenRCService(m Member) []byte { return m.render("openrc.init") }

// ServerScript renders zkServer.sh.
func ServerScript(m Member) []byte { return m.render("zkServer.sh") }

// ClientScript renders zkCli.sh.
func ClientScript(m Member) []byte { return m.render("zkCli.sh") }

// Tool is a script that starts one of the programs that look at a server's files.
type Tool struct {
	// Path is where it goes on the host.
	Path    string
	Content []byte
}

// Tools renders the scripts of Apache ZooKeeper besides zkServer.sh and zkCli.sh.
func Tools(m Member) []Tool {
	var tools []Tool
	for _, p := range m.ToolPaths() {
		tools = append(tools, Tool{p, m.render(path.Base(p))})
	}
	return tools
}

// Launcher renders the script that starts the programs of Apache ZooKeeper.
func Launcher(m Member) []byte { return m.render("zookeeper-java") }

// File is a file of a member.
type File struct {
	Path    string
	Content []byte
}

// LogConfigs renders what tells Apache ZooKeeper where to log: for both of the libraries that releases log with, of the
// server first, then of the programs that people type.
func LogConfigs(m Member) []File {
	var out []File
	for _, p := range m.LogConfigPaths() {
		out = append(out, File{p, m.render(path.Base(p))})
	}
	return out
}

// TxnLogTool is the class that shows a txn log.
func (m Member) TxnLogTool() string {
	if m.Apache.Version != (apache.Version{}) && m.Apache.Version.Before(3, 5, 0) {
		return "org.apache.zookeeper.server.LogFormatter"
	}
	return "org.apache.zookeeper.server.persistence.TxnLogToolkit"
}

// IdentityScript renders the check that the data is the member's own.
func IdentityScript(m Member) []byte { return m.render("identity.sh") }

// SysVScript renders a script for /etc/init.d.
func SysVScript(m Member) []byte { return m.render("sysv.sh") }

// OpenRCScript renders a script for OpenRC's /etc/local.d, for hosts on which OpenRC cannot supervise.
func OpenRCScript(m Member) []byte { return m.render("openrc.start") }

// CronTab renders a file for /etc/cron.d.
func CronTab(m Member) []byte { return m.render("cron") }

func (m Member) render(name string) []byte {
	var b bytes.Buffer
	// The templates are constants and their data is ours: an error is a defect of this package.
	if err := parsed.ExecuteTemplate(&b, name, m); err != nil {
		panic(fmt.Sprintf("templates: %s: %v", name, err))
	}
	return b.Bytes()
}

// Where things are on the host.

// Config is the path of zoo.cfg.
func (m Member) Config() string { return path.Join(m.Host.Server.Paths.Config, "zoo.cfg") }

// RunsApache reports whether the member is to run Apache ZooKeeper.
func (m Member) RunsApache() bool { return m.Host.Server.Kind == inventory.Apache }

// Current is the link to the release in use. Each kind has one of its own: what is still to be restarted goes on with its own.
func (m Member) Current() string {
	if m.RunsApache() {
		return path.Join(m.Host.Server.Paths.Install, "apache")
	}
	return path.Join(m.Host.Server.Paths.Install, "current")
}

// Links are the links of all kinds.
func (m Member) Links() []string {
	return []string{path.Join(m.Host.Server.Paths.Install, "current"), path.Join(m.Host.Server.Paths.Install, "apache")}
}

// Server is the path of the program that is the server: zkserver, or the launcher of Apache ZooKeeper.
func (m Member) Server() string {
	if m.RunsApache() {
		return m.LauncherPath()
	}
	return path.Join(m.Current(), "bin/zkserver")
}

// Client is the path of zkcli.
func (m Member) Client() string { return path.Join(m.Current(), "bin/zkcli") }

// LauncherPath is the path of Launcher.
func (m Member) LauncherPath() string {
	return path.Join(m.Host.Server.Paths.Install, "bin/zookeeper-java")
}

// LogConfigPaths are the paths of LogConfigs.
func (m Member) LogConfigPaths() []string {
	var paths []string
	for _, name := range []string{"log4j.properties", "logback.xml", "log4j-client.properties", "logback-client.xml"} {
		paths = append(paths, path.Join(m.Host.Server.Paths.Config, name))
	}
	return paths
}

// FindJava is a shell function, find_java, that prints the path of the java to use, or fails.
func (m Member) FindJava() string { return strings.TrimSuffix(string(m.render("find-java.sh")), "\n") }

// ServerScript is the path of zkServer.sh.
func (m Member) ServerScript() string {
	return path.Join(m.Host.Server.Paths.Install, "bin/zkServer.sh")
}

// ClientScript is the path of zkCli.sh.
func (m Member) ClientScript() string { return path.Join(m.Host.Server.Paths.Install, "bin/zkCli.sh") }

// ToolPaths are the paths of Tools.
func (m Member) ToolPaths() []string {
	var paths []string
	for _, name := range []string{
		"zkCleanup.sh", "zkServer-initialize.sh", "zkSnapShotToolkit.sh", "zkSnapshotComparer.sh",
		"zkSnapshotRecursiveSummaryToolkit.sh", "zkTxnLogToolkit.sh",
	} {
		paths = append(paths, path.Join(m.Host.Server.Paths.Install, "bin", name))
	}
	return paths
}

// Supervisor is the path of the supervisor script.
func (m Member) Supervisor() string {
	return path.Join(m.Host.Server.Paths.Install, "bin/zookeeper-supervisor")
}

// Stamp is the file that says whose data it lies with; Identity says whose it must be. The format is that of provision.
func (m Member) Stamp() string { return path.Join(m.Host.Server.Paths.Data, "zkctl.stamp") }

// Stamps are that and, where txn logs go elsewhere, the one that lies with them.
func (m Member) Stamps() []string {
	stamps := []string{m.Stamp()}
	if logs := m.Host.Server.Paths.TxnLog; logs != m.Host.Server.Paths.Data {
		stamps = append(stamps, path.Join(logs, "zkctl.stamp"))
	}
	return stamps
}

// Identity is the path of what the stamps must say.
func (m Member) Identity() string { return path.Join(m.Host.Server.Paths.Config, "identity") }

// IdentityCheck is the path of the script that compares the two.
func (m Member) IdentityCheck() string {
	return path.Join(m.Host.Server.Paths.Install, "bin/zookeeper-identity")
}

// Log is where a supervised server writes.
func (m Member) Log() string { return path.Join(m.Host.Server.Paths.Log, m.Host.Server.Service+".log") }

// RollingLog is where an Apache ZooKeeper writes that is to log to a file.
func (m Member) RollingLog() string {
	return path.Join(m.Host.Server.Paths.Log, m.Host.Server.Service+"-server.log")
}

// LogsToFile reports whether the server writes to RollingLog.
func (m Member) LogsToFile() bool { return m.RunsApache() && m.Host.Server.Logging == "file" }

// PidFile holds the server's process id while a supervisor or OpenRC runs it, at the place where Apache's zkServer.sh has it.
func (m Member) PidFile() string { return path.Join(m.Host.Server.Paths.Data, "zookeeper_server.pid") }

// SupervisorPidFile holds the supervisor's process id while it runs.
func (m Member) SupervisorPidFile() string {
	return path.Join(m.Host.Server.Paths.Data, "supervisor.pid")
}

// Started is a copy, made at each start, of what the server is started with: StartFiles.
func (m Member) Started() string { return path.Join(m.Host.Server.Paths.Data, "started-with") }

// StartFiles are zoo.cfg, ServiceFile and what else counts at a start.
func (m Member) StartFiles() []string {
	files := []string{m.Config(), m.ServiceFile()}
	if m.RunsApache() {
		files = append(append(files, m.LauncherPath()), m.LogConfigPaths()[:2]...)
	}
	return files
}

// StartedWith is the content of Started if the server was started with what the inventory says.
func StartedWith(m Member) []byte {
	content := ZooCfg(m)
	if m.Manager == Systemd {
		content = append(content, Unit(m)...)
	} else {
		content = append(content, SupervisorScript(m)...)
	}
	if m.RunsApache() {
		content = append(content, Launcher(m)...)
		for _, f := range LogConfigs(m)[:2] {
			content = append(content, f.Content...)
		}
	}
	return content
}

// Secrets reports whether zoo.cfg has settings whose values must not be shown.
func (m Member) Secrets() bool {
	return slices.ContainsFunc(m.Settings(), func(s Setting) bool { return inventory.IsSecret(s.Key) })
}

// KeepStarted is the shell script that makes Started.
func (m Member) KeepStarted() string {
	script := "cat " + strings.Join(m.StartFiles(), " ") + " >" + m.Started()
	if m.Secrets() {
		script = fmt.Sprintf("rm -f %s; (umask 077; %s)", m.Started(), script)
	}
	return script
}

// Environment is shell script that takes over the settings in zookeeper-env.sh and java.env beside zoo.cfg.
func (m Member) Environment() string {
	var b strings.Builder
	for _, name := range []string{"zookeeper-env.sh", "java.env"} {
		file := path.Join(m.Host.Server.Paths.Config, name)
		fmt.Fprintf(&b, "test ! -f %s || . %[1]s; ", file)
	}
	return b.String() + "export SERVER_JVMFLAGS JVMFLAGS;"
}

// ServiceFile is what runs the server: the systemd unit or the supervisor script.
func (m Member) ServiceFile() string {
	if m.Manager == Systemd {
		return m.UnitFile()
	}
	return m.Supervisor()
}

// UnitFile is the path of the systemd unit.
func (m Member) UnitFile() string {
	return "/etc/systemd/system/" + m.Host.Server.Service + ".service"
}

// Certificates is the directory of the member's certificate, its key and whom it trusts.
func (m Member) Certificates() string { return path.Join(m.Host.Server.Paths.Config, "tls") }

// KeyStore is the file with the member's key and certificate.
func (m Member) KeyStore() string { return path.Join(m.Certificates(), "server.pem") }

// TrustStore is the file with the certificates of those whom the member trusts.
func (m Member) TrustStore() string { return path.Join(m.Certificates(), "trust.pem") }

// User runs the server; "" means whoever starts it, as for a local member without a change of user.
func (m Member) User() string {
	if m.Host.Connection == inventory.Local && m.Host.Become.Method == "none" {
		return ""
	}
	return m.Host.Server.User
}

// LocalServer is the address of the member for a client on its own host.
func (m Member) LocalServer() string {
	host := m.Host.ZooCfg["clientPortAddress"]
	if anyAddress(host) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(m.Host.Server.Ports.Client))
}

// SecureHost is the host part of that address over TLS, which must be one that the certificate names.
func (m Member) SecureHost() string {
	if host := m.Host.ZooCfg["clientPortAddress"]; !anyAddress(host) {
		return host
	}
	return m.Host.PeerAddress
}

// SecureServer is LocalServer over TLS.
func (m Member) SecureServer() string {
	return net.JoinHostPort(m.SecureHost(), strconv.Itoa(m.Host.Server.Ports.Secure))
}

func anyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// Settings are the lines of zoo.cfg without the server lines, sorted by key.
func (m Member) Settings() []Setting {
	used, _ := m.settings()
	return used
}

// Groups are the lines of zoo.cfg about groups and weights, none where a majority of the voters is a quorum.
func (m Member) Groups() []Setting {
	ids, weights := map[int][]string{}, []Setting{}
	for _, h := range slices.SortedFunc(slices.Values(m.Ensemble.Hosts), func(a, b inventory.Host) int { return a.ID - b.ID }) {
		if h.Role != inventory.Voter || h.Group == 0 {
			continue
		}
		ids[h.Group] = append(ids[h.Group], strconv.Itoa(h.ID))
		weights = append(weights, Setting{"weight." + strconv.Itoa(h.ID), strconv.Itoa(h.Weight)})
	}
	var all []Setting
	for _, group := range slices.Sorted(maps.Keys(ids)) {
		all = append(all, Setting{"group." + strconv.Itoa(group), strings.Join(ids[group], ":")})
	}
	return append(all, weights...)
}

// LeftOut says of each setting that is not in zoo.cfg because the member's Apache ZooKeeper does not know it why that is so.
func (m Member) LeftOut() []string {
	_, leftOut := m.settings()
	return leftOut
}

// neededWords are the four-letter words that zkctl asks by.
var neededWords = []string{"srvr", "mntr"}

func (m Member) settings() (used []Setting, leftOut []string) {
	server := m.Host.Server
	words := slices.Clone(server.FourLetterWords)
	for _, w := range neededWords {
		if !slices.Contains(words, w) && !slices.Contains(words, "*") {
			words = append(words, w)
		}
	}
	values := map[string]string{
		"dataDir":                server.Paths.Data,
		"clientPort":             strconv.Itoa(server.Ports.Client),
		"4lw.commands.whitelist": strings.Join(words, ", "),
	}
	if server.Paths.TxnLog != server.Paths.Data {
		values["dataLogDir"] = server.Paths.TxnLog
	}
	if server.Ports.Metrics != 0 {
		values["metricsProvider.className"] = apache.PrometheusProvider
		values["metricsProvider.httpPort"] = strconv.Itoa(server.Ports.Metrics)
	}
	if m.Host.Role == inventory.Observer {
		values["peerType"] = "observer"
	}
	asked := false // for the AdminServer, which is open to everybody at port 8080 by default
	for k, v := range m.Host.ZooCfg {
		values[k] = v
		asked = asked || strings.HasPrefix(k, "admin.")
	}
	if !asked {
		values["admin.enableServer"] = "false"
	}
	m.tlsSettings(values)
	for k, v := range values {
		if why := m.unknown(k); why != "" {
			if k != "metricsProvider.className" && k != "admin.enableServer" { // said once; nothing is lost
				leftOut = append(leftOut, why)
			}
			continue
		}
		used = append(used, Setting{k, strings.ReplaceAll(v, `\`, `\\`)})
	}
	slices.SortFunc(used, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	slices.Sort(leftOut)
	return used, leftOut
}

// unknown says why a setting means nothing to the member's server, "" where it means something.
func (m Member) unknown(key string) string {
	if !m.RunsApache() || m.Apache.Version == (apache.Version{}) {
		return ""
	}
	if since, known := m.Apache.Version.Knows(key); !known {
		return fmt.Sprintf("%s is left out of zoo.cfg: Apache ZooKeeper knows it since %v, this is %v", key, since, m.Apache.Version)
	}
	if strings.HasPrefix(key, "metricsProvider.") && !m.Apache.Prometheus {
		return key + " is left out of zoo.cfg: this Apache ZooKeeper has no jar with the Prometheus provider"
	}
	return ""
}

// Members are the server lines of zoo.cfg, sorted by id, the same on every host.
func (m Member) Members() []ServerLine {
	var lines []ServerLine
	for _, h := range m.Ensemble.Hosts {
		host := h.PeerAddress
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		role := "participant"
		if h.Role == inventory.Observer {
			role = "observer"
		}
		lines = append(lines, ServerLine{h.ID, fmt.Sprintf("%s:%d:%d:%s", host, h.Server.Ports.Peer, h.Server.Ports.Election, role)})
	}
	slices.SortFunc(lines, func(a, b ServerLine) int { return a.ID - b.ID })
	return lines
}
