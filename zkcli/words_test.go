package zkcli

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                        nil,
		"  ls  /a ":               {"ls", "/a"},
		"ls\t/a\v/b":              {"ls", "/a", "/b"},
		`create /a "two words" x`: {"create", "/a", "two words", "x"},
		`set /a 'it is "it"'`:     {"set", "/a", `it is "it"`},
		`set /a it's`:             {"set", "/a", "it's"},
		`set /a ""`:               {"set", "/a", ""},
		`set /a "b"c`:             {"set", "/a", "b", "c"},
		`set /a b"c d"`:           {"set", "/a", `b"c`, `d"`}, // a quote opens at the beginning of a word only
		`set /a "open one`:        {"set", "/a", "open", "one"},
		`  "open`:                 {` "open`},
		`"`:                       nil,
		`''"`:                     {""},
		" ":                       {" "},
		"ls /\xff":                {"ls", "/\xff"},
	} {
		if got := split(line); !slices.Equal(got, want) {
			t.Errorf("split(%q) = %q, want %q", line, got, want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"ls -R /a", `create /a "x y" 'z'`, `"`, ` "a`, "\xff\xfe", "a\v'b'c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rest := line
		for _, w := range split(line) {
			i := strings.Index(rest, w)
			if i < 0 {
				t.Fatalf("%q is not in %q, or out of order", w, line)
			}
			rest = rest[i+len(w):]
		}
	})
}
