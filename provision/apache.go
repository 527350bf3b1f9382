package provision

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

const (
	stepJava = "java"
	// bringsProbe is said in plans.
	bringsProbe = "zkserver is brought to a temporary directory, only to see whether the hosts reach one another, and removed again"
)

// packageJars prints the class path of a distribution's package: Debian's jars, whose manifests name most of their
// libraries, or a directory with a lib below it, as others pack it.
const packageJars = `
package_jars() {
	if [ -f /usr/share/java/zookeeper.jar ]; then
		for j in zookeeper slf4j-log4j12 log4j-1.2 netty-codec netty-resolver servlet-api; do
			[ -f "/usr/share/java/$j.jar" ] && echo "/usr/share/java/$j.jar"
		done
		return 0
	fi
	for d in /usr/lib/zookeeper /usr/share/zookeeper /opt/zookeeper-package; do
		ls "$d"/zookeeper-[0-9]*.jar "$d"/zookeeper.jar "$d"/lib/zookeeper-[0-9]*.jar >/dev/null 2>&1 || continue
		for j in "$d"/zookeeper*.jar "$d"/lib/*.jar; do [ -f "$j" ] && echo "$j"; done
		return 0
	done
	return 1
}
`

// apacheFragment reports what decides whether a host can run Apache ZooKeeper, by the functions of remote.FieldsScript.
// The functions find_java and package_jars and the variables link and package stand in front.
const apacheFragment = `
if java=$(find_java); then
	field java.path "$java"
	field java.version "$("$java" -version 2>&1 | sed -n 's/^.* version "\([^"]*\)".*/\1/p')"
fi
for p in apt-get dnf yum zypper apk; do command -v "$p" >/dev/null 2>&1 && { field packages.manager "$p"; break; }; done
command -v tar >/dev/null 2>&1 && command -v gzip >/dev/null 2>&1 && field archive.tar yes
if [ -n "$package" ]; then
	if command -v dpkg-query >/dev/null 2>&1; then
		v=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null)
		case $v in "installed "*) field package.installed "${v#* }" ;; *)
			field package.candidate "$(apt-cache policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '^(none)$')" ;;
		esac
	elif command -v rpm >/dev/null 2>&1; then
		if v=$(rpm -q --qf '%{VERSION}-%{RELEASE}' "$package" 2>/dev/null); then field package.installed "$v"
		else for p in dnf yum; do command -v $p >/dev/null 2>&1 && {
			field package.candidate "$($p -q info --available "$package" 2>/dev/null | sed -n 's/^Version *: *//p' | tail -n 1)"; break; }; done; fi
	elif command -v apk >/dev/null 2>&1; then
		if apk info -e "$package" >/dev/null 2>&1; then field package.installed "$(apk list -I "$package" 2>/dev/null | sed -n "s/^$package-\([0-9][^ ]*\) .*/\1/p")"
		else field package.candidate "$(apk list "$package" 2>/dev/null | sed -n "s/^$package-\([0-9][^ ]*\) .*/\1/p" | tail -n 1)"; fi
	fi
	field package.jars "$(package_jars)"
fi
field package.classpath "$(cat "$link/classpath" 2>/dev/null)"
`

// release is the archive that a member's Apache ZooKeeper comes from; nil where it comes from a package, or is none.
func release(h inventory.Host) (*apache.Release, error) {
	if h.Server.Kind != inventory.Apache || h.Server.Archive == "" {
		return nil, nil
	}
	r, err := apache.Load(h.Server.Archive)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	if want := h.Server.Version; want != "bundled" && want != r.Version.String() {
		return nil, fmt.Errorf("%s: %w", h.Name, &apache.Error{File: h.Server.Archive,
			Text:   fmt.Sprintf("holds version %v, and server.version is %s", r.Version, want),
			Remedy: "give the archive of that version, or leave server.version away"})
	}
	return r, nil
}

// know finds out what the member's Apache ZooKeeper is able to do: from its archive, or from what the host says of its
// package.
func (m *member) know() error {
	if !m.RunsApache() {
		return nil
	}
	r, err := release(m.Host)
	if err != nil {
		return err
	}
	if r != nil {
		m.archive = r
		m.Apache = templates.Apache{Version: r.Version, Prometheus: r.Prometheus}
		return nil
	}
	// A version that cannot be read is a finding; until then everything is taken for known.
	m.Apache.Version, _ = apache.ParseVersion(m.packageVersion())
	m.Apache.Prometheus = strings.Contains(m.facts.Fields.Text("package.jars"), "zookeeper-prometheus-metrics")
	return nil
}

// packageVersion is the version of the distribution's package that is there, or would be installed; "" for none.
func (m member) packageVersion() string {
	if v := m.facts.Fields.Text("package.installed"); v != "" {
		return v
	}
	return m.facts.Fields.Text("package.candidate")
}

// minJava is the oldest Java that will do.
func (m member) minJava() int { return m.Apache.Version.MinJava() }

// fittingJava reports whether the host has a Java that will do.
func (m member) fittingJava() bool {
	return apache.JavaFeature(m.facts.Fields.Text("java.version")) >= m.minJava()
}

// javaPackages are the packages that bring a Java, by the program that installs them; the first that can be installed is.
var javaPackages = map[string]string{
	"apt-get": "default-jre-headless",
	"dnf":     "java-headless",
	"yum":     "java-headless",
	"zypper":  "java-headless",
	"apk":     "openjdk17-jre-headless openjdk11-jre-headless openjdk8-jre",
}

// apacheFindings says what keeps a host from running the member's Apache ZooKeeper.
func (m member) apacheFindings() []hostprep.Finding {
	if !m.RunsApache() {
		return nil
	}
	var out []hostprep.Finding
	fields := m.facts.Fields
	add := func(check, remedy, format string, args ...any) {
		out = append(out, hostprep.Finding{Host: m.Host.Name, Check: check, Severity: hostprep.Error, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if m.archive != nil && !fields.Has("archive.tar") {
		add("release", "install them there", "tar and gzip are needed to unpack %s", path.Base(m.Host.Server.Archive))
	}
	manager := fields.Text("packages.manager")
	if name := m.Host.Server.Package; m.archive == nil {
		switch {
		case m.packageVersion() == "":
			add("release", "bring the lists of packages up to date there (apt-get update), look for the name, or give server.archive", "the host's packages have no %s", name)
		case m.Apache.Version == (apache.Version{}) || m.Apache.Version.Before(3, 4, 0):
			add("release", "give server.archive", "the package %s has version %s, which zkctl does not know", name, m.packageVersion())
		case !fields.Has("package.installed") && !privileged(m.Member):
			add("release", fmt.Sprintf("install it (%s install %s), or give server.archive", manager, name), "the package %s is not installed, and without root zkctl cannot do it", name)
		case fields.Has("package.installed") && fields.Text("package.jars") == "":
			add("release", "give server.archive", "the package %s is installed, but its jars are not where zkctl knows to look for them", name)
		}
	}
	if m.Apache.Version.Before(3, 5, 0) && m.Apache.Version.Major > 0 {
		for _, h := range m.Ensemble.Hosts {
			if strings.Contains(h.PeerAddress, ":") {
				add("release", "give a name or an IPv4 address, or use 3.5 or later", "Apache ZooKeeper %v cannot read the IPv6 address of %s in zoo.cfg", m.Apache.Version, h.Name)
			}
		}
	}
	if m.fittingJava() {
		return out
	}
	has := "has no Java"
	if v := fields.Text("java.version"); v != "" {
		has = fmt.Sprintf("has Java %s (%s)", v, fields.Text("java.path"))
	}
	what := "Apache ZooKeeper"
	if m.Apache.Version.Major > 0 {
		what += " " + m.Apache.Version.String()
	}
	switch packages := javaPackages[manager]; {
	case m.Host.Server.JavaHome != "":
		add("java", "put that right, or leave server.java_home away", "server.java_home is %s, where the host %s; %s needs %d or later", m.Host.Server.JavaHome,
			has, what, m.minJava())
	case m.installsJava():
	case packages != "" && fields.Has("java.path"):
		add("java", "install a later one and name it in server.java_home", "the host %s; %s needs %d or later", has, what, m.minJava())
	case packages != "" && privileged(m.Member):
		add("java", fmt.Sprintf("set server.java to install, or run `%s install %s` there", manager, strings.Fields(packages)[0]), "the host %s; %s needs %d or later", has, what, m.minJava())
	case packages != "":
		add("java", fmt.Sprintf("run `%s install %s` there, or name one in server.java_home", manager, strings.Fields(packages)[0]), "the host %s; %s needs %d or later", has, what, m.minJava())
	default:
		add("java", "bring one there and name it in server.java_home", "the host %s; %s needs %d or later", has, what, m.minJava())
	}
	return out
}

// installPackage is the function install_one PROGRAM PACKAGE, which installs a package of the host's distribution.
const installPackage = `
install_one() {
	case $1 in
	apt-get)
		export DEBIAN_FRONTEND=noninteractive
		set -- "$2" -q -y --no-install-recommends -o DPkg::Lock::Timeout=120
		package=$1; shift
		apt-get install "$@" "$package" || { apt-get -q update && apt-get install "$@" "$package"; } ;;
	dnf | yum) "$1" -q -y install "$2" ;;
	zypper) zypper -q -n install --no-recommends --capability "$2" ;;
	apk) apk add -q "$2" ;;
	esac
}
remove_one() {
	case $1 in
	apt-get) DEBIAN_FRONTEND=noninteractive apt-get -q -y remove "$2" ;;
	dnf | yum) "$1" -q -y remove "$2" ;;
	zypper) zypper -q -n remove "$2" ;;
	apk) apk del -q "$2" ;;
	esac
}
`

// installsJava reports whether a host without a Java gets one. Beside one that is too old, a second would not be found.
func (m member) installsJava() bool {
	return m.Host.Server.Java == "install" && m.Host.Server.JavaHome == "" && privileged(m.Member) &&
		javaPackages[m.facts.Fields.Text("packages.manager")] != "" && !m.facts.Fields.Has("java.path")
}

// planJava plans to install a Java where there is none and the inventory says so.
func (m member) planJava() []hostprep.Change {
	if !m.RunsApache() || m.fittingJava() || !m.installsJava() {
		return nil
	}
	manager := m.facts.Fields.Text("packages.manager")
	packages := strings.Fields(javaPackages[manager])
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: "java", Root: true, Timeout: 10 * time.Minute,
		Summary: fmt.Sprintf("install Java (%s install %s)", manager, strings.Join(packages, " or ")),
		Args:    append([]string{manager, fmt.Sprint(m.minJava())}, packages...),
		Script: installPackage + `manager=$1; shift 2
for p; do install_one "$manager" "$p" && exit; done
exit 1`,
		Verify: m.FindJava() + `
v=$("$(find_java)" -version 2>&1 | sed -n 's/^.* version "\([^"]*\)".*/\1/p')
v=${v#1.}; v=${v%%[!0-9]*}
[ "${v:-0}" -ge "$2" ]`,
		Undo: &hostprep.Undo{Args: append([]string{manager}, packages...), Script: installPackage + `manager=$1; shift
for p; do remove_one "$manager" "$p" && exit; done; :`},
	}}
}

// apacheRelease is the directory of the member's release: named by version and content, or by the version of the package.
func (m member) apacheRelease() string {
	name := "package-" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("~:+/", r) {
			return '_'
		}
		return r
	}, m.packageVersion())
	if m.archive != nil {
		name = m.archive.Name()
	}
	return path.Join(m.Host.Server.Paths.Install, "releases", name)
}

// classPath is the content of the file classpath of a release.
func (m member) classPath() string {
	if m.archive == nil {
		return m.facts.Fields.Text("package.jars")
	}
	var jars []string
	for _, j := range m.archive.Jars {
		jars = append(jars, j.Path)
	}
	return strings.Join(jars, "\n")
}

// hasApache reports whether the release is there, whole, and in use.
func (m member) hasApache() bool {
	dir := m.apacheRelease()
	if m.facts.Fields.Text("member.link") != path.Join("releases", path.Base(dir)) ||
		m.classPath() == "" || strings.TrimSpace(m.facts.Fields.Text("package.classpath")) != strings.TrimSpace(m.classPath()) {
		return false
	}
	if m.archive == nil {
		return m.facts.Fields.Has("package.installed")
	}
	return !slices.ContainsFunc(m.archive.Jars, func(j apache.Jar) bool { return m.facts.Files[path.Join(dir, j.Path)].SHA256 != j.SHA256 })
}

// planApache plans the release: unpacked beside the one in use, or the package and a list of its jars; then switched to.
func (m member) planApache() []hostprep.Change {
	dir := m.apacheRelease()
	var changes []hostprep.Change
	owner := m.root()
	if a := m.archive; a != nil {
		packed := path.Join(path.Dir(dir), "."+path.Base(dir)+".tar.gz")
		var sums strings.Builder
		for _, j := range a.Jars {
			fmt.Fprintf(&sums, "%s %s\n", j.SHA256, j.Path)
		}
		changes = append(changes, hostprep.Change{
			Kind: hostprep.WriteFile, Target: packed, Mode: 0o600, Owner: owner, Root: privileged(m.Member), Timeout: 10 * time.Minute,
			Summary: fmt.Sprintf("push %s (%d KiB, sha256 %.12s)", path.Base(m.Host.Server.Archive), len(a.Archive)/1024, a.SHA256),
			After:   a.Archive,
		}, hostprep.Change{
			Kind: hostprep.RunScript, Target: dir, Summary: "unpack Apache ZooKeeper " + a.Version.String(), Root: privileged(m.Member),
			Args: []string{packed, dir, a.Top, owner, m.classPath(), sums.String()}, Timeout: 5 * time.Minute,
			Script: restoreLabels + `
set -e
umask 022
rm -rf "$2.new"
mkdir "$2.new"
gzip -dc "$1" | (cd "$2.new" && tar -xf -)
printf '%s\n' "$5" >"$2.new/$3/classpath"
[ -z "$4" ] || chown -R "$4:$(id -gn "$4")" "$2.new"
chmod -R u+rwX,go+rX,go-w,ug-s "$2.new"
rm -rf "$2"
mv "$2.new/$3" "$2"
rm -rf "$2.new" "$1"
relabel "$2"
sync`,
			Verify: `printf %s "$6" | while read -r sum jar; do [ "$(hash <"$2/$jar")" = "$sum" ] || exit 1; done`,
		})
	} else {
		name, manager := m.Host.Server.Package, m.facts.Fields.Text("packages.manager")
		if !m.facts.Fields.Has("package.installed") {
			changes = append(changes, hostprep.Change{
				Kind: hostprep.RunScript, Target: name, Summary: fmt.Sprintf("install the package %s %s", name, m.packageVersion()), Root: true,
				Timeout: 10 * time.Minute, Args: []string{manager, name}, Script: installPackage + `install_one "$1" "$2"`,
				Verify: packageJars + `package_jars >/dev/null`,
				Undo:   &hostprep.Undo{Args: []string{manager, name}, Script: installPackage + `remove_one "$1" "$2" || :`},
			})
		}
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: dir, Summary: "list the jars of the package " + name, Root: privileged(m.Member), Args: []string{dir},
			Script: restoreLabels + packageJars + `
set -e
mkdir -p "$1"
package_jars >"$1/classpath"
chmod 755 "$1"; chmod 644 "$1/classpath"
relabel "$1"`,
			Verify: `[ -s "$1/classpath" ]`,
		})
	}
	return append(changes, hostprep.Change{
		Kind: hostprep.RunScript, Target: m.Current(), Summary: "switch " + m.Current() + " to " + path.Base(dir),
		Root: privileged(m.Member), Args: []string{m.Current(), path.Join("releases", path.Base(dir)), dir}, Timeout: time.Minute,
		// The jars must be of use to this host's Java before anything points to them.
		Script: m.FindJava() + `
set -e
java=$(find_java)
jars=
while read -r jar; do case $jar in /*) ;; *) jar=$3/$jar ;; esac; jars=$jars:$jar; done <"$3/classpath"
"$java" -cp "${jars#:}" org.apache.zookeeper.Version --full >/dev/null
rm -f "$1.new"
ln -s "$2" "$1.new"
mv -fT "$1.new" "$1" 2>/dev/null || { ln -sfn "$2" "$1"; rm -f "$1.new"; }
`,
		Verify: `[ "$(readlink "$1")" = "$2" ] && [ -f "$1/classpath" ]`,
	})
}

// kindOf is the kind of server that a process runs, by the file that it executes; "" for none.
func kindOf(exe, release string) inventory.Kind {
	switch {
	case release != "":
		return inventory.Apache
	case exe != "":
		return inventory.Zkserver
	}
	return ""
}
