package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Ansible reads an inventory in INI or YAML form, or what ansible-inventory --list says. group is the group of the members; empty means one that is named for
// ZooKeeper, else all hosts. Only the file itself is read, no group_vars or host_vars beside it; passwords are not taken
// over.
func Ansible(text []byte, group string) ([]Host, error) {
	inv := &ansible{groups: map[string]*ansibleGroup{}}
	var err error
	if looksLikeINI(text) {
		err = inv.ini(text)
	} else {
		err = inv.yaml(text)
	}
	if err != nil {
		return nil, err
	}
	return inv.hosts(group)
}

// looksLikeINI tells the two forms apart: YAML inventories begin with a mapping.
func looksLikeINI(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' || line == "---" {
			continue
		}
		return !strings.HasSuffix(strings.SplitN(line, " #", 2)[0], ":") && line[0] != '{'
	}
	return true
}

type ansible struct {
	groups map[string]*ansibleGroup
	order  []string // of hosts, as they first appear
	vars   map[string]map[string]string
}

type ansibleGroup struct {
	hosts, children []string
	vars            map[string]string
}

func (a *ansible) group(name string) *ansibleGroup {
	g := a.groups[name]
	if g == nil {
		g = &ansibleGroup{vars: map[string]string{}}
		a.groups[name] = g
	}
	return g
}

func (a *ansible) host(name string) map[string]string {
	if a.vars == nil {
		a.vars = map[string]map[string]string{}
	}
	if a.vars[name] == nil {
		a.vars[name] = map[string]string{}
		a.order = append(a.order, name)
	}
	return a.vars[name]
}

// hostAndPort is host for a name that a port may follow, as in zk1:2222.
func (a *ansible) hostAndPort(text string) (name string, vars map[string]string) {
	name, port, given := strings.Cut(text, ":")
	if _, err := strconv.ParseUint(port, 10, 16); !given || err != nil {
		return text, a.host(text)
	}
	vars = a.host(name)
	vars["ansible_port"] = port
	return name, vars
}

func (a *ansible) ini(text []byte) error {
	section, kind := "ungrouped", "hosts"
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' || line == "---" {
			continue
		}
		if line[0] == '[' {
			end := strings.IndexByte(line, ']')
			if end < 0 {
				return fmt.Errorf("line %d: no ] in %q", number, line)
			}
			var given bool
			section, kind, given = strings.Cut(line[1:end], ":")
			if !given {
				kind = "hosts"
			}
			a.group(section)
			continue
		}
		var words []string
		if kind != "vars" { // there quotes need no end
			var err error
			if words, err = splitWords(line); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		switch kind {
		case "children":
			a.group(section).children = append(a.group(section).children, words[0])
			a.group(words[0])
		case "vars":
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				return fmt.Errorf("line %d: %q is no KEY=VALUE", number, line)
			}
			a.group(section).vars[strings.TrimSpace(key)] = unquote(strings.TrimSpace(value))
		case "hosts":
			names, err := expand(words[0])
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			for _, name := range names {
				name, vars := a.hostAndPort(name)
				a.group(section).hosts = append(a.group(section).hosts, name)
				for _, w := range words[1:] {
					key, value, ok := strings.Cut(w, "=")
					if !ok {
						return fmt.Errorf("line %d: %q is no KEY=VALUE", number, w)
					}
					vars[key] = value
				}
			}
		default:
			return fmt.Errorf("line %d: [%s:%s]: after the colon may stand vars or children", number, section, kind)
		}
	}
	return nil
}

// splitWords splits at blanks, but not within quotes, and takes the quotes away. "#" begins a comment after a blank.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == '#' && !inWord:
			return words, nil
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

var hostRange = regexp.MustCompile(`\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]`)

// expand resolves ranges: zk[1:3], zk[01:10:2], db-[a:c].
func expand(pattern string) ([]string, error) {
	m := hostRange.FindStringSubmatchIndex(pattern)
	if m == nil {
		return []string{pattern}, nil
	}
	from, to := pattern[m[2]:m[3]], pattern[m[4]:m[5]]
	step := 1
	if m[6] >= 0 {
		step, _ = strconv.Atoi(pattern[m[6]:m[7]])
	}
	var values []string
	low, err := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	letters := err != nil && err2 != nil
	if letters {
		low, high = int(from[0]), int(to[0])
	}
	if step < 1 || low > high || high-low > 1000 || !letters && (err != nil || err2 != nil) {
		return nil, fmt.Errorf("%q is no range", pattern[m[0]:m[1]])
	}
	for v := low; v <= high; v += step {
		if letters {
			values = append(values, string(rune(v)))
		} else {
			values = append(values, fmt.Sprintf("%0*d", len(from), v))
		}
	}
	var all []string
	for _, v := range values {
		rest, err := expand(pattern[:m[0]] + v + pattern[m[1]:])
		if err != nil {
			return nil, err
		}
		if all = append(all, rest...); len(all) > 1000 {
			return nil, fmt.Errorf("%q stands for more than 1000 hosts", pattern)
		}
	}
	return all, nil
}

type yamlGroup struct {
	Hosts    yaml.Node             `yaml:"hosts"`
	Vars     map[string]yaml.Node  `yaml:"vars"`
	Children map[string]*yamlGroup `yaml:"children"`
}

func (a *ansible) yaml(text []byte) error {
	if bytes.Contains(text, []byte(`"_meta"`)) {
		return a.listed(text)
	}
	var top map[string]*yamlGroup
	if err := yaml.Unmarshal(text, &top); err != nil {
		return fmt.Errorf("not an inventory: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var names []string
	for name := range top {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := a.yamlGroup(name, top[name], 0); err != nil {
			return err
		}
	}
	return nil
}

// listed reads the JSON of ansible-inventory --list, in which groups name their hosts and variables are resolved for each host.
func (a *ansible) listed(text []byte) error {
	var meta struct {
		Meta struct {
			Vars map[string]map[string]any `json:"hostvars"`
		} `json:"_meta"`
	}
	var groups map[string]struct{ Hosts, Children []string }
	err := json.Unmarshal(text, &meta)
	if err == nil {
		err = json.Unmarshal(text, &groups)
	}
	if err != nil {
		return fmt.Errorf("not what ansible-inventory --list says: %w", err)
	}
	delete(groups, "_meta")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		group := a.group(name)
		group.children = groups[name].Children
		for _, host := range groups[name].Hosts {
			group.hosts = append(group.hosts, host)
			vars := a.host(host)
			for k, v := range meta.Meta.Vars[host] {
				switch v.(type) {
				case string, float64, bool:
					vars[k] = fmt.Sprint(v)
				}
			}
		}
	}
	return nil
}

func (a *ansible) yamlGroup(name string, g *yamlGroup, depth int) error {
	group := a.group(name)
	if g == nil {
		return nil
	}
	if depth > 50 {
		return fmt.Errorf("group %s: nested too deeply", name)
	}
	for k, v := range g.Vars {
		group.vars[k] = aliased(&v).Value
	}
	list := aliased(&g.Hosts).Content
	for i := 0; i+1 < len(list); i += 2 {
		names, err := expand(list[i].Value)
		if err != nil {
			return err
		}
		own := map[string]yaml.Node{}
		if given := aliased(list[i+1]); given.Kind == yaml.MappingNode {
			if err := given.Decode(&own); err != nil { // which knows what << merges
				return fmt.Errorf("host %s: %s", list[i].Value, strings.TrimPrefix(err.Error(), "yaml: "))
			}
		}
		for _, name := range names {
			name, vars := a.hostAndPort(name)
			group.hosts = append(group.hosts, name)
			for k, v := range own {
				if v := aliased(&v); v.Kind == yaml.ScalarNode {
					vars[k] = v.Value
				}
			}
		}
	}
	var children []string
	for child := range g.Children {
		children = append(children, child)
	}
	slices.Sort(children)
	for _, child := range children {
		group.children = append(group.children, child)
		if err := a.yamlGroup(child, g.Children[child], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// aliased is what an alias stands for.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// members are the hosts of a group and of the groups within it.
func (a *ansible) members(name string, seen map[string]bool) map[string]bool {
	hosts := map[string]bool{}
	g := a.groups[name]
	if g == nil || seen[name] {
		return hosts
	}
	seen[name] = true
	for _, h := range g.hosts {
		hosts[h] = true
	}
	for _, child := range g.children {
		for h := range a.members(child, seen) {
			hosts[h] = true
		}
	}
	return hosts
}

func (a *ansible) hosts(group string) ([]Host, error) {
	var names []string
	for name := range a.groups {
		if name != "ungrouped" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if group == "" {
		var err error
		if group, err = a.likely(names); err != nil {
			return nil, err
		}
	} else if a.groups[group] == nil && group != "all" {
		return nil, fmt.Errorf("no group %q; there are %s", group, strings.Join(names, ", "))
	}
	chosen := a.members(group, map[string]bool{})
	var hosts []Host
	full := map[string]string{} // of a host's short name: what it is called here, the first one
	for _, name := range a.order {
		if group != "" && group != "all" && !chosen[name] {
			continue
		}
		h, err := a.resolve(name)
		if err != nil {
			return nil, err
		}
		// Names that differ in their domains only stay as they are.
		if first, taken := full[h.Name]; taken {
			for i := range hosts {
				if hosts[i].Name == h.Name {
					hosts[i].Name = hostName(first)
				}
			}
			h.Name = hostName(name)
		} else {
			full[h.Name] = name
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// likely is the group that is named for ZooKeeper, of several the one that holds the others; "" where there is none.
func (a *ansible) likely(names []string) (string, error) {
	var meant []string
	for _, name := range names {
		lower := strings.ToLower(name)
		named := strings.Contains(lower, "zookeeper") || lower == "zk" || strings.HasPrefix(lower, "zk_") || strings.HasPrefix(lower, "zk-")
		if named && len(a.members(name, map[string]bool{})) > 0 {
			meant = append(meant, name)
		}
	}
	for _, name := range meant {
		all := a.members(name, map[string]bool{})
		holds := func(other string) bool {
			for h := range a.members(other, map[string]bool{}) {
				if !all[h] {
					return false
				}
			}
			return true
		}
		if !slices.ContainsFunc(meant, func(other string) bool { return !holds(other) }) {
			return name, nil
		}
	}
	if len(meant) > 0 {
		return "", fmt.Errorf("the groups %s could be meant; choose one with --only GROUP", strings.Join(meant, ", "))
	}
	return "", nil
}

// variables are those of a host: of all, of its groups from the outer to the inner ones, its own.
func (a *ansible) variables(host string) map[string]string {
	type depth struct {
		name  string
		level int
	}
	var groups []depth
	var level func(name string, seen map[string]bool) int
	level = func(name string, seen map[string]bool) int {
		deepest := 0
		if seen[name] {
			return 0
		}
		seen[name] = true
		for parent, g := range a.groups {
			if slices.Contains(g.children, name) {
				deepest = max(deepest, 1+level(parent, seen))
			}
		}
		return deepest
	}
	for name := range a.groups {
		if name == "all" || a.members(name, map[string]bool{})[host] {
			l := level(name, map[string]bool{})
			if name == "all" {
				l = -1
			}
			groups = append(groups, depth{name, l})
		}
	}
	slices.SortFunc(groups, func(x, y depth) int {
		if x.level != y.level {
			return x.level - y.level
		}
		return strings.Compare(x.name, y.name)
	})
	vars := map[string]string{}
	for _, g := range groups {
		for k, v := range a.groups[g.name].vars {
			vars[k] = v
		}
	}
	for k, v := range a.vars[host] {
		vars[k] = v
	}
	return vars
}

var jinja = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

func (a *ansible) resolve(name string) (Host, error) {
	vars := a.variables(name)
	get := func(keys ...string) string {
		for _, k := range keys {
			v := vars[k]
			for range 5 { // a variable may name another one
				v = jinja.ReplaceAllStringFunc(v, func(m string) string {
					inner := jinja.FindStringSubmatch(m)[1]
					if inner == "inventory_hostname" {
						return name
					}
					return vars[inner]
				})
			}
			if v != "" && !strings.Contains(v, "{{") && !strings.Contains(v, "{%") {
				return v
			}
		}
		return ""
	}
	h := Host{Name: hostName(name), Address: name, User: get("ansible_user", "ansible_ssh_user")}
	if key := get("ansible_ssh_private_key_file", "ansible_private_key_file"); key != "" {
		h.IdentityFiles = []string{key}
	}
	if v := get("ansible_host", "ansible_ssh_host"); v != "" {
		h.Address = v
	} else if strings.Contains(name, ".") {
		h.Name, _, _ = strings.Cut(h.Name, ".")
		if strings.Trim(h.Name, "0123456789") == "" {
			h.Name = "zk-" + strings.ReplaceAll(hostName(name), ".", "-")
		}
	}
	h.PeerAddress = get("private_ip", "zookeeper_ip", "zk_ip", "internal_ip", "peer_address")
	if port := get("ansible_port", "ansible_ssh_port"); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil {
			return h, fmt.Errorf("%s: ansible_port %q is no number", name, port)
		}
		h.Port = n
	}
	if id := get("zookeeper_id", "zookeeper_myid", "zookeeper_server_id", "zk_id", "zk_myid", "myid"); id != "" {
		n, err := strconv.Atoi(id)
		if err != nil {
			return h, fmt.Errorf("%s: the id %q is no number", name, id)
		}
		h.ID = n
	}
	if role := get("zookeeper_role", "zk_role", "zookeeper_peer_type"); strings.EqualFold(role, "observer") {
		h.Role = "observer"
	}
	h.Jump, h.ProxyCommand = proxyOf(get("ansible_ssh_common_args", "ansible_ssh_extra_args"))
	return h, nil
}

// proxyOf reads -J and -o ProxyJump=, -o ProxyCommand= of ssh's arguments. A command that is an ssh to a jump host with -W
// is that jump host.
func proxyOf(args string) (jump, command string) {
	words, err := splitWords(args)
	if err != nil {
		return "", ""
	}
	for i, w := range words {
		if w == "-J" && i+1 < len(words) {
			return words[i+1], ""
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(w, "-o"), "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "proxyjump":
			return value, ""
		case "proxycommand":
			command = value
		}
	}
	inner, err := splitWords(command)
	if err != nil || len(inner) < 3 || inner[0] != "ssh" {
		return "", command
	}
	var host, user, port string
	for i := 1; i < len(inner); i++ {
		switch w := inner[i]; {
		case w == "-W" || w == "-q" || w == "-A":
			if w == "-W" {
				i++
			}
		case w == "-p" && i+1 < len(inner):
			i++
			port = inner[i]
		case w == "-l" && i+1 < len(inner):
			i++
			user = inner[i]
		case w == "-i" || w == "-o":
			return "", command // more than a jump host can say
		case strings.HasPrefix(w, "-"):
			return "", command
		default:
			host = w
		}
	}
	if host == "" {
		return "", command
	}
	if user != "" {
		host = user + "@" + host
	}
	if port != "" {
		host += ":" + port
	}
	return host, ""
}
