package inventory

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("inventory.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("inventory.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge says what schema and decoder think of a text.
func judge(t *testing.T, s *jsonschema.Schema, text string) (bySchema, byDecoder error) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	_, byDecoder = Parse("i.yaml", []byte(text))
	return s.Validate(v), byDecoder
}

// The published schema is what `zkctl inventory schema` writes.
func TestPublishedSchema(t *testing.T) {
	const file = "../docs/inventory.schema.json"
	if *update {
		if err := os.WriteFile(file, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, Schema()) {
		t.Errorf("%s is not what the schema is now (go test ./inventory -update rewrites it)", file)
	}
}

// Inventories that the decoder takes, the schema takes, too.
func TestSchemaTakesWhatTheDecoderTakes(t *testing.T) {
	s := compiled(t)
	files, _ := filepath.Glob("testdata/*.yaml")
	files = append(files, "../inventory.example.yaml", "../examples/local.yaml")
	taken := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err != nil {
			continue
		}
		taken++
		if err, _ := judge(t, s, string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if taken < 3 {
		t.Errorf("only %d inventories", taken)
	}
}

// key is one place in the schema where a key may stand.
type key struct {
	path []string
	kind reflect.Type
	tag  reflect.StructTag
}

func allKeys(path []string, t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		kind := f.Type
		if kind == reflect.TypeFor[*yaml.Node]() {
			if sections[name] == nil {
				continue
			}
			kind = sections[name]
		}
		full := append(slices.Clone(path), name)
		if kind.Kind() == reflect.Struct && kind != reflect.TypeFor[Secret]() {
			keys = append(keys, allKeys(full, kind)...)
			continue
		}
		keys = append(keys, key{full, kind, f.Tag})
	}
	return keys
}

// with is a whole inventory in which one key has a value: of the ensemble, or of its host.
func with(path []string, value string) string {
	host := "{name: a, address: 10.0.0.1, id: 1}"
	var nested string
	for i := len(path) - 1; i >= 0; i-- {
		if nested == "" {
			nested = path[i] + ": " + value
		} else {
			nested = path[i] + ": {" + nested + "}"
		}
	}
	switch {
	case path[0] == "hosts":
		_, inner, _ := strings.Cut(strings.TrimSuffix(nested, "}"), "{")
		rest := []string{"name: a", "address: 10.0.0.1", "id: 1"}
		rest = slices.DeleteFunc(rest, func(s string) bool { return strings.HasPrefix(s, path[1]+":") })
		return "name: e\nhosts: [{" + strings.Join(append(rest, inner), ", ") + "}]\n"
	case path[0] == "name":
		return nested + "\nhosts: [" + host + "]\n"
	}
	return "name: e\n" + nested + "\nhosts: [" + host + "]\n"
}

// Every key: a good value, several bad ones, and a misspelling are judged alike by schema and decoder, and editors have a
// sentence for it.
func TestSchemaAndDecoderAgree(t *testing.T) {
	s := compiled(t)
	keys := allKeys(nil, reflect.TypeFor[document]())
	keys = append(keys, allKeys([]string{"hosts"}, reflect.TypeFor[entry]())...)
	if len(keys) < 80 {
		t.Fatalf("only %d keys", len(keys))
	}
	for _, k := range keys {
		name := strings.Join(k.path, ".")
		if k.path[0] == "hosts" && (len(k.path) > 2 || sections[k.path[1]] != nil) {
			continue // the sections once more
		}
		if describe(name) == "" {
			t.Errorf("%s has no description", name)
		}
		good, bad := samples(t, k)
		for _, v := range good {
			if bySchema, byDecoder := judge(t, s, with(k.path, v)); bySchema != nil || byDecoder != nil {
				t.Errorf("%s: %s: schema: %v; decoder: %v", name, v, bySchema, byDecoder)
			}
		}
		for _, v := range bad {
			if bySchema, byDecoder := judge(t, s, with(k.path, v)); bySchema == nil || byDecoder == nil {
				t.Errorf("%s: %s: taken by the schema: %v; by the decoder: %v\n%s", name, v, bySchema == nil, byDecoder == nil, with(k.path, v))
			}
		}
		misspelt := append(slices.Clone(k.path[:len(k.path)-1]), k.path[len(k.path)-1]+"x")
		if k.path[0] == "name" {
			continue
		}
		if bySchema, byDecoder := judge(t, s, with(misspelt, good[0])); bySchema == nil || byDecoder == nil {
			t.Errorf("%s: taken by the schema: %v; by the decoder: %v", strings.Join(misspelt, "."), bySchema == nil, byDecoder == nil)
		}
	}
}

// samples are values of a key: those that are right and those that are wrong.
func samples(t *testing.T, k key) (good, bad []string) {
	t.Helper()
	last := k.path[len(k.path)-1]
	switch {
	case k.kind == reflect.TypeFor[Secret]():
		return []string{"{env: NAME}", "{file: /x}", "{prompt: true}"}, []string{"secret", "{env: A, file: /x}", "{command: x}"}
	case k.kind.String() == "time.Duration":
		return []string{"10s", "1h30m", "500ms"}, []string{"ten", "{a: b}", "[10s]"}
	case k.kind.Kind() == reflect.String:
		if words := k.tag.Get("oneof"); words != "" {
			for _, w := range strings.Split(words, "|") {
				if w != "local" && w != "observer" && w != "apache" { // these need more than one key
					good = append(good, w)
				}
			}
			return good, []string{"perhaps", "[x]"}
		}
		v := map[string]string{"address": "10.0.0.9", "peer_address": "10.0.0.9", "user": "somebody", "service": "zk", "config": "none",
			"heap": "2g", "package": "zookeeper"}[last]
		switch {
		case k.tag.Get("kind") == "hostpath":
			v = "/srv/zk"
		case v == "":
			v = "word"
		}
		bad = []string{"[x]", "{a: b}"}
		if k.tag.Get("form") != "" {
			bad = append(bad, "Word, and more", "1.5")
		}
		return []string{v}, bad
	case k.kind.Kind() == reflect.Int:
		var low, high int
		v := 7
		if limits := k.tag.Get("range"); limits != "" {
			fmt.Sscanf(limits, "%d-%d", &low, &high)
			v = min(max(low, 1234), high)
			bad = append(bad, fmt.Sprint(high+1))
		}
		return []string{fmt.Sprint(v)}, append(bad, "many", "1.5", "[1]")
	case k.kind.Kind() == reflect.Bool:
		return []string{"true", "false"}, []string{"perhaps", "1"}
	case k.kind.Kind() == reflect.Slice:
		v := "[a, b]"
		if last == "firewall_clients" {
			return []string{"[10.0.0.0/8, '192.0.2.1', 'fd00::/8', '{{ .address }}']", "[]"}, []string{"[anybody]", "10.0.0.0/8", "[[10.0.0.0/8]]"}
		}
		if last == "jump" {
			v = "['a', 'me@b:22', '[fd00::1]:22']"
		}
		if last == "jvm_flags" {
			return []string{"[-Xss1m, '-Da=b c']"}, []string{"-Xss1m", "[Xss1m]"}
		}
		if last == "four_letter_words" {
			return []string{"[srvr, ruok]", "['*']"}, []string{"srvr", "[status]", "['srvr,ruok']"}
		}
		return []string{v}, []string{"a", "{a: b}", "[[a]]"}
	case k.kind.Kind() == reflect.Map:
		if last == "zoo_cfg" {
			return []string{"{tickTime: 2000, syncEnabled: true, forceSync: 'no', snapshotSizeFactor: 0.3}"},
				[]string{"{tickTim: 2000}", "{tickTime: soon}", "{clientPort: 1}", "[a]", "{syncEnabled: maybe}"}
		}
		if last == "sysctl" {
			return []string{"{vm.swappiness: 1, net.ipv4.ip_local_port_range: '32768 60999'}"}, []string{"[a]", "{swappiness: 1}", "{'vm.x; reboot': 1}"}
		}
		return []string{"{some.key: 1, other: word}"}, []string{"[a]", "word"}
	}
	t.Fatalf("no samples for %v", k)
	return nil, nil
}
