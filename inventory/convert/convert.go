// Package convert reads the lists of hosts that other tools keep (Vagrant, Terraform, Ansible, a plain list) and writes an
// inventory of them. What such a list does not say (ids, roles) is made up once and then stands in the inventory; secrets
// are never taken over.
package convert

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Host is a host as another tool knows it. Only Name and Address are always there.
type Host struct {
	Name        string
	Address     string // that we dial
	PeerAddress string // that the others dial, where it is another one
	ID          int    // 0 where the tool knows none
	Role        string // observer, or empty
	User        string
	Port        int
	// IdentityFiles are private keys, in the order in which they are to be tried.
	IdentityFiles []string
	Jump          string // [user@]host[:port], with commas between several
	ProxyCommand  string
}

// Loopback reports whether the address leads to this machine, as with forwarded ports: no peer can use it.
func (h Host) Loopback() bool {
	ip := net.ParseIP(h.Address)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(h.Address, "localhost")
}

// Options are what the inventory says beside its hosts.
type Options struct {
	Name   string // of the ensemble
	User   string // to log in as, where the list does not say
	Source string // for the comment at the top
	Strict bool   // known host keys only
}

// Inventory writes an inventory. Settings that all hosts share stand at the top.
func Inventory(hosts []Host, o Options) ([]byte, error) {
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%s: no hosts", o.Source)
	}
	if err := assignIDs(hosts); err != nil {
		return nil, err
	}
	shared := hosts[0]
	for _, h := range hosts[1:] {
		if h.User != shared.User {
			shared.User = ""
		}
		if h.Port != shared.Port {
			shared.Port = 0
		}
		if !slices.Equal(h.IdentityFiles, shared.IdentityFiles) {
			shared.IdentityFiles = nil
		}
		if h.Jump != shared.Jump {
			shared.Jump = ""
		}
		if h.ProxyCommand != shared.ProxyCommand {
			shared.ProxyCommand = ""
		}
	}
	top := sshOf(shared, Host{})
	if shared.User == "" && o.User != "" {
		top = append([]any{"user", o.User}, top...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# An ensemble for zkctl, from %s. inventory.example.yaml of the zkctl sources explains every key.\nname: %s\n", o.Source, scalar(o.Name))
	b.WriteString("ssh:\n")
	for i := 0; i < len(top); i += 2 {
		fmt.Fprintf(&b, "  %s: %s\n", top[i], value(top[i+1]))
	}
	policy := "accept-new"
	if o.Strict {
		policy = "strict"
	}
	fmt.Fprintf(&b, "  host_key_policy: %s    # strict | ask | accept-new | off\n", policy)
	b.WriteString(`become:
  method: auto                   # sudo, or doas, unless the user is root
system:                          # what happens to the hosts themselves; leave: do not touch
  ssh_keys: manage               # manage | exclusive | leave
  hosts_file: manage             # manage | leave
  firewall: disable              # what is possible: inventory.example.yaml
  selinux: disabled              # disabled | permissive | leave
hosts:
`)
	for _, h := range hosts {
		line := []any{"name", h.Name, "address", h.Address}
		if h.PeerAddress != "" && h.PeerAddress != h.Address {
			line = append(line, "peer_address", h.PeerAddress)
		}
		line = append(line, "id", h.ID)
		if h.Role != "" {
			line = append(line, "role", h.Role)
		}
		if own := sshOf(h, shared); len(own) > 0 {
			line = append(line, "ssh", own)
		}
		fmt.Fprintf(&b, "  - %s\n", value(line))
	}
	return []byte(b.String()), nil
}

// sshOf are the settings of a host that the shared ones do not have, as keys and values in turn.
func sshOf(h, shared Host) []any {
	var s []any
	if h.User != "" && h.User != shared.User {
		s = append(s, "user", h.User)
	}
	if h.Port != 0 && h.Port != shared.Port && (h.Port != 22 || shared.Port != 0) {
		s = append(s, "port", h.Port)
	}
	if len(h.IdentityFiles) > 0 && !slices.Equal(h.IdentityFiles, shared.IdentityFiles) {
		s = append(s, "identity_files", h.IdentityFiles)
	}
	if h.Jump != "" && h.Jump != shared.Jump {
		s = append(s, "jump", strings.Split(h.Jump, ","))
	}
	if h.ProxyCommand != "" && h.ProxyCommand != shared.ProxyCommand {
		s = append(s, "proxy_command", h.ProxyCommand)
	}
	return s
}

// value writes a value in YAML's flow style; keys and values in turn are a mapping.
func value(v any) string {
	switch v := v.(type) {
	case int:
		return fmt.Sprint(v)
	case string:
		return scalar(v)
	case []string:
		var parts []string
		for _, s := range v {
			parts = append(parts, scalar(s))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []any:
		var parts []string
		for i := 0; i < len(v); i += 2 {
			parts = append(parts, fmt.Sprintf("%s: %s", v[i], value(v[i+1])))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	panic(fmt.Sprintf("convert: a value of type %T", v))
}

// scalar quotes a string where YAML would not take it as it stands, also between braces.
func scalar(s string) string {
	text, err := yaml.Marshal(s)
	plain := strings.TrimSuffix(string(text), "\n")
	if err != nil || strings.ContainsAny(s, "{}[],:#&*!|>%@`\"'\n") && plain == s || strings.Contains(plain, "\n") {
		return fmt.Sprintf("%q", s)
	}
	return plain
}

// assignIDs gives ids to the hosts that have none: the lowest that are free, in order.
func assignIDs(hosts []Host) error {
	taken := map[int]bool{}
	for i, h := range hosts {
		if taken[h.ID] && h.ID != 0 {
			first := slices.IndexFunc(hosts, func(o Host) bool { return o.ID == h.ID })
			return fmt.Errorf("%s and %s have the same id %d", hosts[first].Name, hosts[i].Name, h.ID)
		}
		taken[h.ID] = true
	}
	next := 1
	for i := range hosts {
		if hosts[i].ID != 0 {
			continue
		}
		for taken[next] {
			next++
		}
		hosts[i].ID = next
		taken[next] = true
	}
	return nil
}

// hostName makes a name that an inventory takes of what a tool calls a host.
func hostName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-._")
}
