package admin

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any // nil, bool, string, int, int64, float64, object, []string, []int64, []object
}

// set replaces the value of a member where it stands, or adds one, as a LinkedHashMap does.
func (o *object) set(name string, value any) {
	for i := range *o {
		if (*o)[i].name == name {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, member{name, value})
}

// appendJSON writes a value as Jackson does with SerializationFeature.INDENT_OUTPUT: members of objects on lines of their
// own, arrays on one line, a blank on both sides of a colon, and 1.0E7 for ten million. A value of another type than those
// of member is a mistake in this package and panics.
func appendJSON(b []byte, value any, indent int) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendJSONString(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return appendJSONString(b, javaDouble(v))
		}
		return append(b, javaDouble(v)...)
	case object:
		if len(v) == 0 {
			return append(b, "{ }"...)
		}
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendNewLine(b, indent+1)
			b = append(appendJSONString(b, m.name), " : "...)
			b = appendJSON(b, m.value, indent+1)
		}
		return append(appendNewLine(b, indent), '}')
	case []object:
		return appendJSONArray(b, v, indent)
	case []string:
		return appendJSONArray(b, v, indent)
	case []int64:
		return appendJSONArray(b, v, indent)
	}
	panic(fmt.Sprintf("admin: no JSON for a %T", value))
}

func appendJSONArray[T any](b []byte, values []T, indent int) []byte {
	if len(values) == 0 {
		return append(b, "[ ]"...)
	}
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(b, ' '), v, indent)
	}
	return append(b, " ]"...)
}

func appendNewLine(b []byte, indent int) []byte {
	b = append(b, '\n')
	for range indent {
		b = append(b, "  "...)
	}
	return b
}

// appendJSONString escapes what JSON wants escaped, and nothing else. Bytes that are no UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	b = append(b, '"')
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
