package auth

import (
	"encoding/asn1"
	"encoding/hex"
	"strings"
)

// longTypes are the names of attribute types that Java reads, besides numbers.
var longTypes = map[string]bool{
	"CN": true, "C": true, "L": true, "S": true, "ST": true, "O": true, "OU": true, "T": true, "IP": true, "STREET": true,
	"DC": true, "DNQUALIFIER": true, "DNQ": true, "SURNAME": true, "GIVENNAME": true, "INITIALS": true, "GENERATION": true,
	"EMAIL": true, "EMAILADDRESS": true, "UID": true, "SERIALNUMBER": true,
}

// special are the characters that may stand behind a backslash, beside two hexadecimal digits; unescaped those that end
// a value or may not stand in it without one.
const (
	special   = ",=\n+<>#;\\\" "
	unescaped = ",+<>;\""
)

// validName reports whether text is a distinguished name that javax.security.auth.x500.X500Principal takes: that of RFC
// 2253 or of RFC 1779, with names of attribute types that Java knows, or numbers.
func validName(text string) bool {
	if text == "" {
		return true
	}
	for _, part := range splitName(text, ",;") {
		for _, a := range splitName(part, "+") {
			if !validAttribute(a) {
				return false
			}
		}
	}
	return true
}

// splitName cuts at separators that are neither quoted nor behind a backslash.
func splitName(text, separators string) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(separators, text[i]) >= 0:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}

// validAttribute takes type=value.
func validAttribute(text string) bool {
	kind, value, found := strings.Cut(text, "=")
	if !found || !validType(strings.ToUpper(strings.Trim(kind, javaBlanks))) {
		return false
	}
	value = strings.TrimLeft(value, " \n")
	switch {
	case value == "":
		return true
	case value[0] == '#':
		return validHex(value[1:])
	case value[0] == '"':
		return validQuoted(value[1:])
	}
	return validPlain(value)
}

// javaBlanks are what java.lang.String.trim removes.
var javaBlanks = func() string {
	var b strings.Builder
	for c := range byte(' ' + 1) {
		b.WriteByte(c)
	}
	return b.String()
}()

func validType(name string) bool {
	return longTypes[name] || validNumbers(strings.TrimPrefix(name, "OID."))
}

// validNumbers takes an object identifier.
func validNumbers(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) < 2 {
		return false
	}
	for i, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
		// The first number is at most 2, and the second one below 40 if that is not 2.
		n := strings.TrimLeft(part, "0")
		if i == 0 && (len(n) > 1 || n > "2") || i == 1 && parts[0][len(parts[0])-1] != '2' && (len(n) > 2 || len(n) == 2 && n > "39") {
			return false
		}
	}
	return true
}

// validHex takes the encoding of a value.
func validHex(text string) bool {
	der, err := hex.DecodeString(text)
	if err != nil || len(der) == 0 {
		return false
	}
	var value asn1.RawValue
	rest, err := asn1.Unmarshal(der, &value)
	return err == nil && len(rest) == 0
}

// validQuoted takes what is behind the first quote.
func validQuoted(text string) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return strings.Trim(text[i+1:], " \n") == ""
		case '\\':
			n, ok := escape(text[i+1:])
			if !ok || text[i+1] == ' ' {
				return false
			}
			i += n
		}
	}
	return false
}

func validPlain(text string) bool {
	for i := 0; i < len(text); i++ {
		if strings.IndexByte(unescaped, text[i]) >= 0 {
			return false
		}
		if text[i] == '\\' {
			n, ok := escape(text[i+1:])
			if !ok {
				return false
			}
			i += n
		}
	}
	return true
}

// escape returns how many bytes belong to the backslash before them.
func escape(text string) (int, bool) {
	const digits = "0123456789abcdefABCDEF"
	switch {
	case text == "":
		return 0, false
	case strings.IndexByte(digits, text[0]) >= 0:
		return 2, len(text) > 1 && strings.IndexByte(digits, text[1]) >= 0
	}
	return 1, strings.IndexByte(special, text[0]) >= 0
}
