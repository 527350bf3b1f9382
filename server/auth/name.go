package auth

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// attribute is one part of a distinguished name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// relativeNameSET is attributes that stand together. Its name tells encoding/asn1 that it is a SET.
type relativeNameSET []attribute

// shortTypes are the names of attribute types in RFC 2253; others are written as numbers.
var shortTypes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// textTags are the types of strings whose bytes Java writes as they are, in the belief that they are UTF-8.
var textTags = []int{
	asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagGeneralString, asn1.TagBMPString,
}

var errName = errors.New("not a distinguished name")

// nameText writes a distinguished name as javax.security.auth.x500.X500Principal.getName does: that of RFC 2253, the last
// part first.
func nameText(der []byte) (string, error) {
	var sequence []relativeNameSET
	rest, err := asn1.Unmarshal(der, &sequence)
	if err != nil || len(rest) > 0 {
		return "", errName
	}
	parts := make([]string, len(sequence))
	for i, relative := range sequence {
		var together []string
		for _, a := range relative {
			together = append(together, a.text())
		}
		parts[len(sequence)-1-i] = strings.Join(together, "+")
	}
	return strings.Join(parts, ","), nil
}

func (a attribute) text() string {
	short, ok := shortTypes[a.Type.String()]
	if !ok || a.Value.Class != asn1.ClassUniversal || !slices.Contains(textTags, a.Value.Tag) {
		if !ok {
			short = a.Type.String()
		}
		return short + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
	return short + "=" + escaped(a.Value.Bytes)
}

// escaped writes a value with a backslash before what would mean something else.
func escaped(value []byte) string {
	text := string([]rune(string(value))) // what is no UTF-8 becomes U+FFFD, byte by byte
	body := strings.Trim(text, " \r")
	before := len(text) - len(strings.TrimLeft(text, " \r"))
	if body == "" {
		before = len(text)
	}
	var b strings.Builder
	blanks := func(s string) {
		for _, c := range s {
			b.WriteByte('\\')
			b.WriteRune(c)
		}
	}
	blanks(text[:before])
	for _, c := range body {
		switch {
		case c == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;"\`, c):
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	blanks(text[before+len(body):])
	return b.String()
}
