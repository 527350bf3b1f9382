package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os/user"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// settings are the sections that an ensemble and each host may have.
type settings struct {
	SSH         SSH               `yaml:"ssh"`
	Become      Become            `yaml:"become"`
	Server      Server            `yaml:"server"`
	ZooCfg      map[string]string `yaml:"zoo_cfg"`
	ZooCfgExtra map[string]string `yaml:"zoo_cfg_extra"`
	TLS         TLS               `yaml:"tls"`
	System      System            `yaml:"system"`
}

// document is the top of the file: plain values and, per section, the node to decode once per host.
type document struct {
	Name        string     `yaml:"name"`
	Connection  string     `yaml:"connection" oneof:"ssh|local"`
	SSH         *yaml.Node `yaml:"ssh"`
	Become      *yaml.Node `yaml:"become"`
	Server      *yaml.Node `yaml:"server"`
	ZooCfg      *yaml.Node `yaml:"zoo_cfg"`
	ZooCfgExtra *yaml.Node `yaml:"zoo_cfg_extra"`
	TLS         *yaml.Node `yaml:"tls"`
	System      *yaml.Node `yaml:"system"`
	Hosts       *yaml.Node `yaml:"hosts"`
}

// entry is one host of the file.
type entry struct {
	Name        string     `yaml:"name"`
	Address     string     `yaml:"address"`
	PeerAddress string     `yaml:"peer_address"`
	ID          int        `yaml:"id"`
	Role        string     `yaml:"role" oneof:"voter|observer"`
	Group       int        `yaml:"group" range:"1-255"`
	Weight      int        `yaml:"weight" range:"0-1000"`
	Labels      []string   `yaml:"labels"`
	Connection  string     `yaml:"connection" oneof:"ssh|local"`
	SSH         *yaml.Node `yaml:"ssh"`
	Become      *yaml.Node `yaml:"become"`
	Server      *yaml.Node `yaml:"server"`
	ZooCfg      *yaml.Node `yaml:"zoo_cfg"`
	ZooCfgExtra *yaml.Node `yaml:"zoo_cfg_extra"`
	TLS         *yaml.Node `yaml:"tls"`
	System      *yaml.Node `yaml:"system"`
}

// Options are what the command line says about reading inventories. The zero value says nothing.
type Options struct {
	// SSHConfig is the ssh_config file to use instead of the inventory's; "none" for no file.
	SSHConfig string
	// User and Jump replace ssh.user and ssh.jump of every host.
	User string
	Jump []string
}

// Load reads the one ensemble of the inventory at path. The error is Problems where the content is at fault, and
// *SeveralError where there are more than one.
func Load(path string) (*Inventory, error) { return Options{}.Load(path) }

// Parse reads an inventory of one ensemble from data. file is used in messages, and relative paths start at its directory.
func Parse(file string, data []byte) (*Inventory, error) { return Options{}.Parse(file, data) }

var yamlLine = regexp.MustCompile(`line (\d+)`)

// parse reads all ensembles of a file.
func (o Options) parse(file string, data []byte) ([]*Inventory, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	l := &loader{file: file, dir: dir, options: o, problems: &problemSet{}}
	var all []*Inventory
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			place := Place{File: file}
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				place.Line, _ = strconv.Atoi(m[1])
				place.Column = 1
			}
			return nil, Problems{{place, strings.TrimPrefix(err.Error(), "yaml: ")}}
		}
		if len(all) > 0 && isNull(root.Content[0]) {
			continue // a line --- at the end
		}
		l.warnings = nil
		inv := l.document(root.Content[0])
		l.validate(inv)
		inv.Warnings = l.warnings
		all = append(all, inv)
	}
	if len(all) == 0 {
		return nil, Problems{{Place{File: file}, "the inventory is empty; `zkctl inventory init HOST...` writes one"}}
	}
	for _, inv := range all {
		inv.OneOf = len(all)
	}
	l.apart(all)
	if problems := l.problems.list; len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Place.Column, b.Place.Column))
		})
		return nil, Problems(problems)
	}
	return all, nil
}

// loader turns the nodes of one file into an Inventory.
type loader struct {
	file, dir string
	options   Options
	configs   sshConfigs
	problems  *problemSet
	warnings  []Problem

	warnedOfConfig bool
}

func (l *loader) decoder() *decoder {
	return &decoder{file: l.file, dir: l.dir, problems: l.problems}
}

func (l *loader) document(top *yaml.Node) *Inventory {
	d := l.decoder()
	doc := document{Connection: string(OverSSH)}
	d.into(top, reflect.ValueOf(&doc).Elem(), "", "")
	inv := &Inventory{File: l.file, Name: doc.Name}
	if inv.Name == "" && top.Kind == yaml.MappingNode {
		d.problem(top, "name: the ensemble needs a name")
	} else if inv.Name != "" && !nameForm.MatchString(inv.Name) {
		d.problem(top, "name: %q: letters, digits, '.', '_' and '-' only", inv.Name)
	} else if len(inv.Name) > longestEnsemble {
		d.problem(top, "name: %q: %d characters at most", inv.Name, longestEnsemble)
	}
	if doc.Hosts == nil {
		if top.Kind == yaml.MappingNode {
			d.problem(top, "hosts: the ensemble has no hosts")
		}
		l.section(doc, entry{}, Host{Connection: Connection(doc.Connection)}, inv.Name)
		return inv
	}
	if doc.Hosts.Kind != yaml.SequenceNode || len(doc.Hosts.Content) == 0 {
		d.problem(doc.Hosts, "hosts: must be a list of hosts, each with name, address and id")
		return inv
	}
	for i, n := range doc.Hosts.Content {
		inv.Hosts = append(inv.Hosts, l.host(doc, n, i, inv.Name))
	}
	return inv
}

// longestEnsemble is what fits in a certificate as the name of an organization.
const longestEnsemble = 64

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	digits   = regexp.MustCompile(`^[0-9]+$`)
	wordForm = regexp.MustCompile(`^[a-z_][a-z0-9_.-]*$`)
)

// noName says why s is no name of a host, "" if it is one: RFC 1123, section 2.1, and the underscores that are about besides.
func noName(s string) string {
	if len(s) > 253 {
		return fmt.Sprintf("it has %d characters, and a name has 253 at the most", len(s))
	}
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return fmt.Sprintf("%q is in no name: letters, digits, '.', '_' and '-' only", r)
		}
	}
	for label := range strings.SplitSeq(s, ".") {
		switch {
		case label == "":
			return "there is nothing before, behind or between its dots"
		case len(label) > 63:
			return fmt.Sprintf("%s has %d characters, and what is between dots has 63 at the most", label, len(label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Sprintf("%q begins or ends with '-'", label)
		}
	}
	return ""
}

// noAddress says why s cannot stand in zoo.cfg and /etc/hosts, "" if it can: it is no name, which may end with a dot, and no IP
// address without port.
func noAddress(s string) string {
	if a, err := netip.ParseAddr(s); err == nil && !strings.ContainsAny(a.Zone(), " \t\r\n") {
		return ""
	}
	name := strings.TrimSuffix(s, ".")
	if i := strings.LastIndexByte(name, '.'); i >= 0 && strings.Trim(name[i+1:], "0123456789") == "" && name[i+1:] != "" {
		return "no name ends with a number behind its last dot"
	}
	return noName(name)
}

// host decodes one entry of the list of hosts and resolves all its settings.
func (l *loader) host(doc document, n *yaml.Node, index int, ensemble string) Host {
	d := l.decoder()
	e := entry{Role: string(Voter), Weight: 1, Connection: doc.Connection}
	key := fmt.Sprintf("hosts[%d]", index)
	d.into(n, reflect.ValueOf(&e).Elem(), key, "")
	h := Host{
		Name: e.Name, Address: e.Address, PeerAddress: e.PeerAddress, ID: e.ID, Role: Role(e.Role), Labels: e.Labels,
		Group: e.Group, Weight: e.Weight,
		Connection: Connection(e.Connection), places: places(l.file, n),
	}
	if n.Kind != yaml.MappingNode {
		return h
	}
	if h.Name == "" {
		d.problem(n, "%s: has no name", key)
	} else if why := noName(h.Name); why != "" {
		d.problem(n, "%s.name: %q is not a host name: %s", key, h.Name, why)
	} else if !nameForm.MatchString(h.Name) {
		d.problem(n, "%s.name: %q is not a host name: it begins or ends with '_'", key, h.Name)
	} else if digits.MatchString(h.Name[strings.LastIndexByte(h.Name, '.')+1:]) {
		d.problem(n, "%s.name: %q is not a host name: what ends with a number is taken for an IP address", key, h.Name)
	} else if strings.EqualFold(h.Name, "localhost") && h.Connection == OverSSH {
		d.problem(n, "%s.name: %q is each host's name for itself: the hosts of an ensemble need names of their own", key, h.Name)
	}
	for _, label := range h.Labels {
		if !nameForm.MatchString(label) {
			l.problems.add(Problem{h.place("labels"), fmt.Sprintf("%s.labels: %q: letters, digits, '.', '_' and '-' only", key, label)})
		}
	}
	for _, a := range [][2]string{{"address", h.Address}, {"peer_address", h.PeerAddress}} {
		if a[1] == "" {
			continue
		}
		if why := noAddress(a[1]); why != "" {
			l.problems.add(Problem{h.place(a[0]), fmt.Sprintf("%s.%s: %q is neither a name nor an IP address: %s", key, a[0], a[1], why)})
		}
	}
	if _, given := h.places["id"]; !given {
		d.problem(n, "%s: has no id (1 to 255, never to be changed afterwards)", key)
	} else if h.ID < 1 || h.ID > 255 {
		l.problems.add(Problem{h.place("id"), fmt.Sprintf("%s.id: %d is outside 1 to 255", key, h.ID)})
	}
	s := l.section(doc, e, h, ensemble)
	if h.Connection == Local {
		h.Address = cmp.Or(h.Address, "127.0.0.1")
		s.SSH.User, s.SSH.Port = cmp.Or(s.SSH.User, currentUser()), cmp.Or(s.SSH.Port, 22)
	} else {
		l.way(&h, &s.SSH, n, key)
	}
	if s.System.Hostname == "set" && len(h.Name) > 64 {
		d.problem(n, "%s.name: %s has %d characters, and Linux lets a host call itself by 64 at the most (system.hostname: set)", key, h.Name, len(h.Name))
	}
	h.PeerAddress = cmp.Or(h.PeerAddress, h.Address)
	h.SSH, h.Become, h.Server, h.ZooCfg, h.TLS, h.System = s.SSH, s.Become, s.Server, s.ZooCfg, s.TLS, s.System
	maps.Copy(h.ZooCfg, s.ZooCfgExtra)
	if h.Server.Paths.TxnLog == "" {
		h.Server.Paths.TxnLog = h.Server.Paths.Data
	}
	l.apache(d, n, h)
	for what, word := range map[string]string{"server.user": h.Server.User, "server.service": h.Server.Service} {
		if !wordForm.MatchString(word) && (what != "server.user" || h.Connection != Local) {
			d.problem(n, "%s: %s %q: lower-case letters, digits, '_', '.' and '-' only", key, what, word)
		}
	}
	return h
}

// apache checks that a server of the kind Apache comes from somewhere.
func (l *loader) apache(d *decoder, n *yaml.Node, h Host) {
	s := h.Server
	switch {
	case s.Kind != Apache:
	case s.Archive == "" && s.Package == "":
		d.problem(n, "%s: server.kind is apache: give server.archive (a release on this machine) or server.package (zookeeper)", h.Name)
	case h.TLS.Client != "off" && h.TLS.Client != "" || h.TLS.Quorum == "on":
		d.problem(n, "%s: server.kind is apache, and the section tls is for zkservers, which take new keys and certificates without a restart: Apache ZooKeeper's own settings of TLS go in zoo_cfg_extra", h.Name)
	case s.Archive != "" && s.Package != "":
		d.problem(n, "%s: server.archive and server.package are two ways to get Apache ZooKeeper: give one", h.Name)
	}
}

// way completes how a host is reached. Where the address is left away, ssh_config must know the host by its name.
func (l *loader) way(h *Host, s *SSH, n *yaml.Node, key string) {
	if l.options.SSHConfig != "" {
		s.Config = l.options.SSHConfig
	}
	if l.options.User != "" {
		s.User = l.options.User
	}
	if len(l.options.Jump) > 0 {
		s.Jump, s.ProxyCommand = l.options.Jump, ""
	}
	named := s.Config != "" && s.Config != "none"
	alias := cmp.Or(h.Address, h.Name)
	address, err := l.configs.complete(s, alias)
	if err == nil {
		s.Jumps, err = l.configs.jumps(*s, 0)
	}
	for _, note := range l.configs.notes {
		l.warn(Place{}, "%s", note)
	}
	l.configs.notes = nil
	switch {
	case err != nil && (named || len(s.Jump) > 0):
		l.problem(h.place("ssh"), "%s: ssh: %v", key, err)
	case err != nil && !l.warnedOfConfig:
		l.warnedOfConfig = true
		l.warn(Place{}, "%v: the file is not used (ssh.config: none ends this warning)", err)
	}
	if s.ProxyCommand != "" && len(s.Jump) > 0 {
		l.problem(h.place("ssh"), "%s: ssh: proxy_command and jump are two ways: give one", key)
	}
	if h.Address == "" && address == alias {
		text := key + ": has no address"
		if err != nil {
			text += fmt.Sprintf(", and what may have it cannot be read: %v", err)
		}
		l.problems.add(Problem{Place{l.file, n.Line, n.Column}, text})
		return
	}
	h.Address = address
}

// section resolves the settings of one host: defaults, then the ensemble's sections, then the host's.
func (l *loader) section(doc document, e entry, h Host, ensemble string) settings {
	s := defaults(h.Connection)
	d := l.decoder()
	d.local = h.Connection == Local
	if h.Name != "" {
		d.vars = map[string]any{
			"name": h.Name, "id": h.ID, "address": h.Address, "role": string(h.Role), "ensemble": ensemble,
		}
	}
	from := func(key string, v any, nodes ...*yaml.Node) {
		for _, n := range nodes {
			if n != nil {
				d.into(n, reflect.ValueOf(v).Elem(), key, "")
			}
		}
	}
	from("ssh", &s.SSH, doc.SSH, e.SSH)
	from("become", &s.Become, doc.Become, e.Become)
	from("server", &s.Server, doc.Server, e.Server)
	from("zoo_cfg", &s.ZooCfg, doc.ZooCfg, e.ZooCfg)
	from("zoo_cfg_extra", &s.ZooCfgExtra, doc.ZooCfgExtra, e.ZooCfgExtra)
	from("tls", &s.TLS, doc.TLS, e.TLS)
	from("system", &s.System, doc.System, e.System)
	return s
}

// places maps the keys of a host's entry to where they stand; "" is the entry itself.
func places(file string, n *yaml.Node) map[string]Place {
	m := map[string]Place{"": {file, n.Line, n.Column}}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = Place{file, n.Content[i+1].Line, n.Content[i+1].Column}
		}
	}
	return m
}

// place is where the host's key stands, or the host where the file does not give that key.
func (h Host) place(key string) Place {
	if p, ok := h.places[key]; ok {
		return p
	}
	return h.places[""]
}

func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}
