package inventory

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// schema is a JSON schema, as far as inventories need it. The fields are in the order in which they are to be read.
type schema struct {
	Schema      string            `json:"$schema,omitempty"`
	ID          string            `json:"$id,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Type        any               `json:"type,omitempty"`
	Enum        []string          `json:"enum,omitempty"`
	Pattern     string            `json:"pattern,omitempty"`
	Minimum     *int              `json:"minimum,omitempty"`
	Maximum     *int              `json:"maximum,omitempty"`
	MinItems    int               `json:"minItems,omitempty"`
	MinProps    int               `json:"minProperties,omitempty"`
	MaxProps    int               `json:"maxProperties,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	Properties  map[string]schema `json:"properties,omitempty"`
	Names       *schema           `json:"propertyNames,omitempty"`
	Required    []string          `json:"required,omitempty"`
	Additional  any               `json:"additionalProperties,omitempty"` // false, or a schema
	AnyOf       []schema          `json:"anyOf,omitempty"`
}

// Schema is the JSON schema (draft 7, which editors know) of one ensemble, made from the types into which inventories are
// decoded. It cannot say what is wrong between two hosts; `zkctl inventory validate` can.
func Schema() []byte {
	top := structSchema(reflect.TypeFor[document](), "")
	top.Schema = "http://json-schema.org/draft-07/schema#"
	top.Title = "Inventory of an ensemble for zkctl"
	top.Required = []string{"name", "hosts"}
	host := structSchema(reflect.TypeFor[entry](), "hosts")
	host.Required = []string{"name", "id"}
	low, high := 1, 255
	id := host.Properties["id"]
	id.Type, id.AnyOf, id.Minimum, id.Maximum = "integer", nil, &low, &high
	host.Properties["id"] = id
	for in, pattern := range map[*schema]string{&top: nameForm.String(), &host: hostNamePattern()} {
		name := in.Properties["name"]
		name.Pattern = pattern
		in.Properties["name"] = name
	}
	top.Properties["hosts"] = schema{Description: describe("hosts"), Type: "array", MinItems: 1, Items: &host}
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic(err) // strings and numbers
	}
	return append(text, '\n')
}

// hostNamePattern is what noName says, as far as a pattern can.
func hostNamePattern() string {
	const label = `[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?`
	return `^` + label + `(\.` + label + `)*$`
}

// sections are the types of the sections, which stand in documents as undecoded nodes.
var sections = map[string]reflect.Type{}

func init() {
	t := reflect.TypeFor[settings]()
	for i := range t.NumField() {
		sections[t.Field(i).Tag.Get("yaml")] = t.Field(i).Type
	}
}

func structSchema(t reflect.Type, path string) schema {
	s := schema{Type: "object", Description: describe(path), Properties: map[string]schema{}, Additional: false}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		full := key
		if path != "" && path != "hosts" {
			full = path + "." + key
		}
		kind := f.Type
		if kind == reflect.TypeFor[*yaml.Node]() {
			section, ok := sections[key]
			if !ok {
				continue // the list of hosts
			}
			kind, full = section, key
		} else if path == "hosts" {
			full = "hosts." + key
		}
		s.Properties[key] = valueSchema(kind, f.Tag, full)
	}
	return s
}

func valueSchema(t reflect.Type, tag reflect.StructTag, path string) schema {
	s := schema{Description: describe(path)}
	switch {
	case t == reflect.TypeFor[Secret]():
		s = structSchema(t, path)
		s.Description = describe(path) + " Never the secret itself: {prompt: true}, {env: NAME} or {file: PATH}."
		s.MinProps, s.MaxProps = 1, 1
		for key, text := range map[string]string{"prompt": "Ask for it on the terminal.", "env": "The name of an environment variable.", "file": "A file of which the first line is the secret."} {
			p := s.Properties[key]
			p.Description = text
			s.Properties[key] = p
		}
	case t == reflect.TypeFor[time.Duration]():
		s.Type, s.Pattern = "string", `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|\{\{`
	case t == reflect.TypeFor[netip.Prefix]():
		s.Type, s.Pattern = "string", `^[0-9]+(\.[0-9]+){3}(/[0-9]{1,2})?$|^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/[0-9]{1,3})?$|\{\{`
	case t.Kind() == reflect.String:
		s.Type = []string{"string", "number"}
		if f, ok := forms[tag.Get("form")]; ok {
			s.Type, s.Pattern = "string", f.pattern.String()+`|\{\{`
		}
		if words := tag.Get("oneof"); words != "" {
			s.Enum = strings.Split(words, "|")
			s.Type, s.Enum = nil, nil
			s.AnyOf = []schema{{Type: "string", Enum: strings.Split(words, "|")}, resolved}
			if slices.Contains(s.AnyOf[0].Enum, "off") {
				s.AnyOf = append(s.AnyOf, schema{Type: "boolean"}) // older YAML readers take off for false
			}
		}
	case t.Kind() == reflect.Int:
		number := schema{Type: "integer"}
		if limits := tag.Get("range"); limits != "" {
			var low, high int
			fmt.Sscanf(limits, "%d-%d", &low, &high)
			number.Minimum, number.Maximum = &low, &high
		}
		s.AnyOf = []schema{number, resolved}
	case t.Kind() == reflect.Bool:
		s.Type = "boolean"
	case t.Kind() == reflect.Slice:
		item := valueSchema(t.Elem(), tag, "")
		s.Type, s.Items = "array", &item
	case t.Kind() == reflect.Map:
		s.Type = "object"
		scalar := schema{Type: []string{"string", "integer", "number", "boolean"}}
		s.Additional = scalar
		if path == "system.sysctl" {
			s.Names = &schema{Pattern: sysctlForm.String()}
		}
		if path == "zoo_cfg" {
			s.Additional = false
			s.Properties = map[string]schema{}
			for key, kind := range zooCfgKeys {
				if !strings.HasPrefix(kind, "ours:") {
					s.Properties[key] = zooCfgSchema(kind)
				}
			}
		}
	case t.Kind() == reflect.Struct:
		return structSchema(t, path)
	}
	return s
}

// zooCfgSchema is that of a setting of zoo.cfg. Numbers may be written as templates or strings, too.
func zooCfgSchema(kind string) schema {
	const number = `^-?[0-9]+$|\{\{`
	switch kind {
	case "positive":
		one := 1
		return schema{AnyOf: []schema{{Type: "integer", Minimum: &one}, {Type: "string", Pattern: `^0*[1-9][0-9]*$|\{\{`}}}
	case "number":
		return schema{AnyOf: []schema{{Type: "integer"}, {Type: "string", Pattern: number}}}
	case "decimal":
		return schema{AnyOf: []schema{{Type: "number"}, {Type: "string"}}}
	case "bool":
		return schema{AnyOf: []schema{{Type: "boolean"}, {Type: "string", Enum: []string{"true", "false"}}}}
	case "yesno":
		return schema{AnyOf: []schema{{Type: "boolean"}, {Type: "string", Enum: []string{"yes", "no"}}}}
	}
	return schema{Type: []string{"string", "integer", "number", "boolean"}}
}

// resolved is a string that is resolved for each host.
var resolved = schema{Type: "string", Pattern: `\{\{`}
