package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
)

// Terraform reads `terraform output -json`, also of one output alone, `terraform show -json` or a state file of version 4. only is the name of an
// output, or a pattern of resource addresses ("aws_instance.zk*"); empty means the one output, or all machines, there are.
func Terraform(text []byte, only string) ([]Host, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(text, &top); err != nil {
		if hosts := outputHosts(text, "zk1"); len(hosts) > 0 {
			distinct(hosts)
			return hosts, nil
		}
		return nil, fmt.Errorf("not JSON as terraform writes it: %w", err)
	}
	if _, ok := top["values"]; ok {
		return shown(text, only)
	}
	if _, ok := top["resources"]; ok {
		return state(text, only)
	}
	if hosts := outputHosts(text, ""); len(hosts) > 0 && len(hosts) == len(top) {
		return hosts, nil // one output, which is a mapping
	}
	return outputs(top, only)
}

// machine is a resource of Terraform.
type machine struct {
	address string
	values  map[string]any
}

func shown(text []byte, only string) ([]Host, error) {
	type module struct {
		Resources []struct {
			Address string         `json:"address"`
			Mode    string         `json:"mode"`
			Values  map[string]any `json:"values"`
		} `json:"resources"`
		Children []json.RawMessage `json:"child_modules"`
	}
	var top struct {
		Values struct {
			Root json.RawMessage `json:"root_module"`
		} `json:"values"`
	}
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, err
	}
	var machines []machine
	modules := []json.RawMessage{top.Values.Root}
	for len(modules) > 0 {
		var m module
		if modules[0] != nil {
			if err := json.Unmarshal(modules[0], &m); err != nil {
				return nil, err
			}
		}
		for _, r := range m.Resources {
			if r.Mode != "data" {
				machines = append(machines, machine{r.Address, r.Values})
			}
		}
		modules = append(modules[1:], m.Children...)
	}
	return machineHosts(machines, only)
}

func state(text []byte, only string) ([]Host, error) {
	var top struct {
		Resources []struct {
			Module    string `json:"module"`
			Mode      string `json:"mode"`
			Type      string `json:"type"`
			Name      string `json:"name"`
			Instances []struct {
				Index      any            `json:"index_key"`
				Attributes map[string]any `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, err
	}
	var machines []machine
	for _, r := range top.Resources {
		if r.Mode == "data" {
			continue
		}
		for _, i := range r.Instances {
			address := r.Type + "." + r.Name
			if r.Module != "" {
				address = r.Module + "." + address
			}
			switch key := i.Index.(type) {
			case string:
				address += fmt.Sprintf("[%q]", key)
			case float64:
				address += fmt.Sprintf("[%d]", int(key))
			}
			machines = append(machines, machine{address, i.Attributes})
		}
	}
	return machineHosts(machines, only)
}

// The attributes in which providers keep what we need, in the order of preference: AWS, Google, Azure, Hetzner,
// DigitalOcean, OpenStack, Linode, vSphere, Proxmox, libvirt and others.
var (
	publicKeys  = []string{"public_ip", "public_ip_address", "nat_ip", "ipv4_address", "ip_address", "access_ip_v4", "default_ip_address", "default_ipv4_address", "main_ip"}
	privateKeys = []string{"private_ip", "private_ip_address", "network_ip", "ipv4_address_private", "internal_ip", "fixed_ip_v4", "ip"}
	nameKeys    = []string{"Name", "name", "hostname", "host_name", "computer_name", "label"}
	userKeys    = []string{"admin_username", "ssh_user", "user"}
)

// machineHosts picks the resources that are machines: those with an address.
func machineHosts(machines []machine, only string) ([]Host, error) {
	var hosts []Host
	for _, m := range machines {
		if only != "" && !matchesResource(only, m.address) {
			continue
		}
		public, private := find(m.values, publicKeys, isAddress), find(m.values, privateKeys, isAddress)
		if public == "" {
			public, private = private, ""
		}
		if public == "" {
			public = find(m.values, []string{"addresses"}, isAddress)
		}
		if public == "" || !isMachine(m.address) && only == "" {
			continue
		}
		name := find(m.values, nameKeys, isText)
		if tags, ok := m.values["tags"].(map[string]any); ok && name == "" || ok && tags["Name"] != nil {
			if n := find(tags, nameKeys, isText); n != "" {
				name = n
			}
		}
		if name == "" {
			name = nameIn(m.address)
		}
		hosts = append(hosts, Host{Name: hostName(name), Address: public, PeerAddress: private, User: find(m.values, userKeys, isText)})
	}
	if len(hosts) == 0 {
		return nil, errors.New("no resource is a machine with an address; --only PATTERN names resources (aws_instance.zk*)")
	}
	distinct(hosts)
	return hosts, nil
}

// parts are the type of a resource, its name, and its key or number, as it stands between brackets.
func parts(address string) (kind, name, key string) {
	if strings.HasSuffix(address, "]") {
		i := strings.LastIndex(address, "[")
		address, key = address[:max(i, 0)], strings.TrimSuffix(address[i+1:], "]")
	}
	words := strings.Split(address, ".")
	if len(words) > 1 {
		kind = words[len(words)-2]
	}
	return kind, words[len(words)-1], key
}

// nameIn is what a resource is called that has no name but its address: by its key, if it has one.
func nameIn(address string) string {
	_, name, key := parts(address)
	bare := strings.Trim(key, `"`)
	switch {
	case key == "":
		return name
	case key == bare || strings.Trim(bare, "0123456789.-") == "" || net.ParseIP(bare) != nil:
		return name + "-" + strings.ReplaceAll(bare, ".", "-")
	}
	return bare
}

// isMachine tells machines from address books, load balancers, databases and networks, which have addresses, too.
func isMachine(address string) bool {
	kind, _, _ := parts(address)
	has := func(word string) bool { return strings.Contains(kind, word) }
	return slices.ContainsFunc([]string{"instance", "server", "machine", "droplet", "domain", "vm_", "_vm", "guest", "virtual"}, has) &&
		!slices.ContainsFunc([]string{"group", "network", "template", "sql", "database", "db_", "redis"}, has)
}

func matchesResource(pattern, address string) bool {
	bare, _, _ := strings.Cut(address, "[")
	for _, name := range []string{address, bare, bare[strings.LastIndex(bare, ".")+1:]} {
		if ok, err := path.Match(pattern, name); err == nil && ok || pattern == name {
			return true
		}
	}
	return false
}

func isText(s string) bool    { return s != "" }
func isAddress(s string) bool { return net.ParseIP(s) != nil }

// find looks for the first of the keys that has a fitting value, at the top and then in what is nested there.
func find(values map[string]any, keys []string, fits func(string) bool) string {
	for _, k := range keys {
		switch v := values[k].(type) {
		case string:
			if fits(v) {
				return v
			}
		case []any:
			for _, item := range v {
				if s, ok := item.(string); ok && fits(s) {
					return s
				}
			}
		}
	}
	var nested []string
	for k, v := range values {
		if _, ok := v.([]any); ok {
			nested = append(nested, k)
		}
	}
	slices.Sort(nested)
	for _, k := range nested {
		for _, item := range values[k].([]any) {
			if m, ok := item.(map[string]any); ok && k != "tags" {
				if s := find(m, keys, fits); s != "" && !slices.Contains(keys, "name") {
					return s
				}
			}
		}
	}
	return ""
}

// outputs reads the outputs of a configuration.
func outputs(top map[string]json.RawMessage, only string) ([]Host, error) {
	found := map[string][]Host{}
	var names []string
	for name, raw := range top {
		var output struct {
			Value json.RawMessage `json:"value"`
			Type  json.RawMessage `json:"type"`
		}
		if err := json.Unmarshal(raw, &output); err != nil || output.Value == nil {
			return nil, errors.New("neither outputs, nor a plan or state as `terraform show -json` gives it")
		}
		if only != "" && only != name {
			continue
		}
		if hosts := outputHosts(output.Value, name); len(hosts) > 0 {
			found[name] = hosts
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch len(names) {
	case 1:
		distinct(found[names[0]])
		return found[names[0]], nil
	case 0:
		return nil, errors.New("no output is an address, a list of addresses or of objects with addresses, or a mapping of names to either")
	}
	return nil, fmt.Errorf("several outputs have addresses: %s; choose one with --only NAME", strings.Join(names, ", "))
}

// outputHosts reads the value of an output: a list or a mapping of addresses or objects.
func outputHosts(raw json.RawMessage, name string) []Host {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	var hosts []Host
	add := func(name string, v any) {
		switch v := v.(type) {
		case string:
			if isAddress(v) || strings.Contains(v, ".") && !strings.ContainsAny(v, " /:@") {
				hosts = append(hosts, Host{Name: name, Address: v})
			}
		case map[string]any:
			public, private := find(v, append([]string{"address", "public", "host", "public_dns"}, publicKeys...), isText), find(v, append([]string{"peer_address", "private"}, privateKeys...), isText)
			if public == "" {
				public, private = private, ""
			}
			if n := find(v, nameKeys, isText); n != "" {
				name = n
			}
			if public != "" {
				hosts = append(hosts, Host{Name: name, Address: public, PeerAddress: private, User: find(v, userKeys, isText)})
			}
		}
	}
	switch v := value.(type) {
	case string:
		if isAddress(v) {
			add(name, v)
		}
	case []any:
		for i, item := range v {
			n := fmt.Sprintf("zk%d", i+1)
			if s, ok := item.(string); ok {
				n = Name(s, i)
			}
			add(n, item)
		}
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			add(k, v[k])
		}
	}
	for i := range hosts {
		hosts[i].Name = hostName(hosts[i].Name)
	}
	return hosts
}

// distinct numbers hosts of the same name.
func distinct(hosts []Host) {
	count := map[string]int{}
	for _, h := range hosts {
		count[h.Name]++
	}
	seen := map[string]int{}
	for i, h := range hosts {
		if count[h.Name] > 1 {
			seen[h.Name]++
			hosts[i].Name = fmt.Sprintf("%s-%d", h.Name, seen[h.Name])
		}
	}
}
