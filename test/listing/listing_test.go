package listing

import "testing"

func TestDifferences(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"a 1\nb 2\n", "b 2\na 1\n", ""},
		{"a 1\nb 2\n", "a 1\nb 3\nc 4\n", "is now:     b 3\nis now:     c 4\nwas before: b 2\n"},
		{"a 1\n", "", "was before: a 1\n"},
	} {
		if got := Differences(c.before, c.after); got != c.want {
			t.Errorf("%q, then %q: got %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
