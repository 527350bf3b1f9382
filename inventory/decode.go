package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/zkctl/zkctl/spelling"
)

// decoder fills structs from YAML nodes, only where a key is present, so that decoding one node after another into the
// same value merges them. It collects problems instead of stopping.
type decoder struct {
	file string
	// dir is what relative paths on this machine are relative to.
	dir string
	// vars resolve templates in strings; nil leaves strings as they are.
	vars map[string]any
	// local means that paths on the host are paths on this machine.
	local    bool
	problems *problemSet
}

// problemSet keeps problems once: a section is decoded again for each host.
type problemSet struct {
	seen map[Problem]bool
	list Problems
}

func (s *problemSet) add(p Problem) {
	if s.seen == nil {
		s.seen = map[Problem]bool{}
	}
	if !s.seen[p] {
		s.seen[p] = true
		s.list = append(s.list, p)
	}
}

func (d *decoder) place(n *yaml.Node) Place { return Place{d.file, n.Line, n.Column} }

func (d *decoder) problem(n *yaml.Node, format string, args ...any) {
	d.problems.add(Problem{d.place(n), fmt.Sprintf(format, args...)})
}

// into decodes a node into what v points to. field is the struct field it belongs to, for its tags.
func (d *decoder) into(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if isNull(n) {
		d.problem(n, "%s: has no value", cmp.Or(key, "the inventory"))
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d.duration(n, v, key)
		return
	}
	if v.Type() == reflect.TypeFor[netip.Prefix]() {
		d.network(n, v, key)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, key)
	case reflect.String:
		d.text(n, v, key, tag)
	case reflect.Int:
		d.integer(n, v, key, tag)
	case reflect.Bool:
		d.boolean(n, v, key)
	case reflect.Slice:
		d.list(n, v, key, tag)
	case reflect.Map:
		d.mapping(n, v, key)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (d *decoder) structure(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		if v.Type() == reflect.TypeFor[Secret]() {
			d.problem(n, "%s: a secret must not stand in the inventory; write {prompt: true}, {env: NAME} or {file: PATH}", key)
			return
		}
		d.problem(n, "%s: must be a mapping (key: value), not %s", cmp.Or(key, "the inventory"), kindName(n))
		return
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			fields[name] = i
			names = append(names, name)
		}
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		full := k.Value
		if key != "" {
			full = key + "." + k.Value
		}
		if first := seen[k.Value]; first != nil {
			d.problem(k, "%s: stands twice, first at line %d", full, first.Line)
			continue
		}
		seen[k.Value] = k
		index, ok := fields[k.Value]
		if !ok {
			d.unknown(k, full, names)
			continue
		}
		f := v.Type().Field(index)
		if f.Type == reflect.TypeFor[*yaml.Node]() {
			v.Field(index).Set(reflect.ValueOf(val))
			continue
		}
		d.into(val, v.Field(index), full, f.Tag)
	}
	if s, ok := v.Interface().(Secret); ok && !s.IsZero() {
		given := 0
		for _, set := range []bool{s.Prompt, s.Env != "", s.File != ""} {
			if set {
				given++
			}
		}
		if given > 1 {
			d.problem(n, "%s: give one of prompt, env and file", key)
		}
	}
}

// unknown reports a key that does not exist, with the one that was probably meant.
func (d *decoder) unknown(k *yaml.Node, full string, names []string) {
	if near := spelling.Nearest(k.Value, names); near != "" {
		d.problem(k, "%s: unknown key; did you mean %q?", full, near)
		return
	}
	d.problem(k, "%s: unknown key; here may stand %s", full, strings.Join(names, ", "))
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	s, ok := d.scalar(n, key)
	if !ok {
		return
	}
	if allowed := tag.Get("oneof"); allowed != "" {
		words := strings.Split(allowed, "|")
		if !slices.Contains(words, s) {
			hint := ""
			if near := spelling.Nearest(s, words); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			d.problem(n, "%s: %q is none of %s%s", key, s, strings.Join(words, ", "), hint)
			return
		}
	}
	if f, ok := forms[tag.Get("form")]; ok && !strings.Contains(s, "{{") && !f.pattern.MatchString(s) {
		d.problem(n, "%s: %q is not %s", key, s, f.what)
		return
	}
	switch tag.Get("kind") {
	case "localpath":
		s = d.localPath(s)
	case "localpath-or-none":
		if s != "none" {
			s = d.localPath(s)
		}
	case "hostpath":
		if d.local {
			s = d.localPath(s)
		} else if !strings.HasPrefix(s, "/") {
			d.problem(n, "%s: %q must be an absolute path", key, s)
			return
		}
		s = filepath.Clean(s)
		if strings.ContainsAny(s, " \t\n'\"\\$`;&|<>()*?") {
			d.problem(n, "%s: %q: blanks and characters that a shell interprets are not supported in paths", key, s)
			return
		}
	}
	v.SetString(s)
}

// forms are what texts with the tag form look like.
var forms = map[string]struct {
	pattern *regexp.Regexp
	what    string
}{
	"heap":    {regexp.MustCompile(`^[1-9][0-9]*[kKmMgG]$`), "a size for java such as 512m or 4g"},
	"flag":    {regexp.MustCompile(`^-[^\r\n]+$`), "a flag for java: it begins with a dash, and each flag is one item of the list"},
	"word":    {regexp.MustCompile(`^(\*|[a-z]{4})$`), "a four-letter word such as srvr, or * for all"},
	"package": {regexp.MustCompile(`^[a-z][a-z0-9+._-]*$`), "the name of a package"},
}

// scalar returns a scalar's text with templates resolved.
func (d *decoder) scalar(n *yaml.Node, key string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.problem(n, "%s: must be one value, not %s", key, kindName(n))
		return "", false
	}
	if d.vars == nil || !strings.Contains(n.Value, "{{") {
		return n.Value, true
	}
	t, err := template.New("").Option("missingkey=error").Parse(n.Value)
	if err == nil {
		var b strings.Builder
		if err = t.Execute(&b, d.vars); err == nil {
			return b.String(), true
		}
	}
	d.problem(n, "%s: cannot resolve the template %q: known are {{ .name }}, {{ .id }}, {{ .address }}, {{ .role }} and {{ .ensemble }}", key, n.Value)
	return "", false
}

func (d *decoder) integer(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	s, ok := d.scalar(n, key)
	if !ok {
		return
	}
	i, err := strconv.Atoi(s)
	if err != nil || n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && !strings.Contains(n.Value, "{{") {
		d.problem(n, "%s: must be a whole number, not %s", key, kindName(n))
		return
	}
	var low, high int
	if limits := tag.Get("range"); limits != "" {
		fmt.Sscanf(limits, "%d-%d", &low, &high)
		if i < low || i > high {
			d.problem(n, "%s: %d is outside %d to %d", key, i, low, high)
		}
	}
	v.SetInt(int64(i))
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		d.problem(n, "%s: must be true or false, not %s", key, kindName(n))
		return
	}
	v.SetBool(strings.EqualFold(n.Value, "true"))
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, key string) {
	s, ok := d.scalar(n, key)
	if !ok {
		return
	}
	t, err := time.ParseDuration(s)
	if err != nil || t <= 0 {
		d.problem(n, "%s: must be a duration such as 500ms, 10s or 2m, not %s", key, kindName(n))
		return
	}
	v.SetInt(int64(t))
}

// network decodes a network such as 10.0.0.0/8, or a single address.
func (d *decoder) network(n *yaml.Node, v reflect.Value, key string) {
	s, ok := d.scalar(n, key)
	if !ok {
		return
	}
	p, err := netip.ParsePrefix(s)
	if addr, e := netip.ParseAddr(s); e == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		d.problem(n, "%s: must be a network such as 10.0.0.0/8, or an IP address, not %s", key, kindName(n))
		return
	}
	v.Set(reflect.ValueOf(p.Masked()))
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, "%s: must be a list [a, b], not %s", key, kindName(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.into(item, out.Index(i), fmt.Sprintf("%s[%d]", key, i), tag)
	}
	v.Set(out)
}

// mapping decodes map[string]string, replacing single entries.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, "%s: must be a mapping (key: value), not %s", key, kindName(n))
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if first := seen[k.Value]; first != nil {
			d.problem(k, "%s.%s: stands twice, first at line %d", key, k.Value, first.Line)
			continue
		}
		seen[k.Value] = k
		if s, ok := d.scalar(val, key+"."+k.Value); ok {
			if strings.ContainsAny(s, "\n\r") {
				d.problem(val, "%s.%s: must be one line", key, k.Value)
				continue
			}
			check := d.checkZooCfg
			if key == "system.sysctl" {
				check = d.checkSysctl
			}
			if known := check(key, k, val, s); known {
				v.SetMapIndex(reflect.ValueOf(k.Value), reflect.ValueOf(s))
			}
		}
	}
}

// sysctlForm is the name of a kernel parameter as sysctl(8) has it, with dots.
var sysctlForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+)+$`)

func (d *decoder) checkSysctl(section string, k, val *yaml.Node, s string) bool {
	if !sysctlForm.MatchString(k.Value) {
		d.problem(k, "%s: %q is no name of a kernel parameter, such as vm.swappiness", section, k.Value)
		return false
	}
	if strings.TrimSpace(s) == "" {
		d.problem(val, "%s.%s: has no value", section, k.Value)
		return false
	}
	return true
}

// localPath makes a path on this machine absolute: "~" is the home directory, a relative path starts at the inventory.
func (d *decoder) localPath(s string) string {
	if home, err := os.UserHomeDir(); err == nil {
		if s == "~" {
			return home
		}
		if rest, ok := strings.CutPrefix(s, "~/"); ok {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(d.dir, s)
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}
