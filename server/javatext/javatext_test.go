package javatext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What is no UTF-8, as Java 17 decodes it; ? is U+FFFD.
func TestDecode(t *testing.T) {
	for data, want := range map[string]string{
		"": "", "a:é€😀": "a:é€😀",
		"\xe9": "?", "\xe9A": "?A", "\xe9\x80": "?", "\xe9\x80A": "?A", "\xc3": "?", "\xc3(": "?(", "\x80": "?", "\xff": "?", "\xfeA": "?A",
		"\xed\xa0\x80": "?", "\xed\xbf\xbfA": "?A", "\xed\x9f": "?", "\xed\xa0A": "?A",
		"\xf0\x90\x80": "?", "\xf0\x90\x80A": "?A", "\xf4\x90\x80\x80": "????", "\xf8\x80\x80\x80\x80": "?????", "\xf5\x80\x80\x80": "????",
		"\xc0\xaf": "??", "\xc1": "?", "\xe0\x80\x80": "???", "\xe0\xa0": "?", "\xf0\x80\x80": "???", "\xe2\x82\x82\x82": "\xe2\x82\x82?",
		"\xf1": "?", "a\xffb": "a?b", "\xf0\x9f\x98": "?", "\xe2\x82\x28": "?(", "\xc0\x80": "??", "\xf5\x80": "??", "\xf1\x80": "?", "\xf1\x80A": "?A", "\xf1\x80\x80A": "?A", "\xe1\xa0\xc2": "??",
	} {
		if got := Decode([]byte(data)); got != strings.ReplaceAll(want, "?", "\ufffd") {
			t.Errorf("%x is read as %q, want %q", data, got, want)
		}
	}
}

// FuzzDecode compares text with what Go and Java agree on: text that is UTF-8 stays, any other becomes it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("a:é€😀"))
	f.Add([]byte("\xed\xa0\x80\xf4\x90\x80\x80\xe9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := Decode(data)
		if !utf8.ValidString(got) || utf8.Valid(data) && got != string(data) {
			t.Fatalf("%x is read as %q", data, got)
		}
		if len([]rune(got)) > len([]rune(string(data))) {
			t.Fatalf("%x becomes %d characters", data, len([]rune(got)))
		}
	})
}
