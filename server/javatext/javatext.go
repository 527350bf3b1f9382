// Package javatext reads bytes as text in the way in which Java does, where the difference shows: in ids that are made of
// passwords in other encodings than UTF-8, and in what tools print of damaged files.
package javatext

import (
	"strings"
	"unicode/utf8"
)

// Decode reads UTF-8. What is none becomes U+FFFD, once for as much as could have been the beginning of a character
// (java.nio.charset.CharsetDecoder with CodingErrorAction.REPLACE).
func Decode(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	var b strings.Builder
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			size = malformedBytes(data)
		}
		b.WriteRune(r)
		data = data[size:]
	}
	return b.String()
}

// malformedBytes is how much of data, which begins with no character, is the beginning of one. A surrogate is one whole.
func malformedBytes(data []byte) int {
	want, low, high := 0, byte(0x80), byte(0xbf)
	switch lead := data[0]; {
	case 0xc2 <= lead && lead <= 0xdf:
		want = 2
	case lead == 0xe0:
		want, low = 3, 0xa0
	case 0xe1 <= lead && lead <= 0xef:
		want = 3
	case lead == 0xf0:
		want, low = 4, 0x90
	case 0xf1 <= lead && lead <= 0xf3:
		want = 4
	case lead == 0xf4:
		want, high = 4, 0x8f
	}
	n := 1
	for n < want && n < len(data) && low <= data[n] && data[n] <= high {
		n, low, high = n+1, 0x80, 0xbf
	}
	return n
}
