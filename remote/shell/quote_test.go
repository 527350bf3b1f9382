package shell

import (
	"os/exec"
	"testing"
	"testing/quick"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":            "''",
		"/etc/hosts":  "/etc/hosts",
		"a b":         "'a b'",
		"it's":        `'it'\''s'`,
		"$HOME":       "'$HOME'",
		"PATH=x":      "'PATH=x'",
		"~":           "'~'",
		"a\nb":        "'a\nb'",
		"nul\x00byte": "nulbyte",
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	if got := Join("rm", "-f", "a b"); got != "rm -f 'a b'" {
		t.Errorf("Join = %s", got)
	}
}

// The shell itself is the twin: what it prints must be what was quoted.
func TestQuoteIsReadBack(t *testing.T) {
	same := func(b []byte) bool {
		in := make([]byte, 0, len(b))
		for _, c := range b {
			if c != 0 {
				in = append(in, c)
			}
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+Quote(string(in))).Output()
		return err == nil && string(out) == string(in)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 200}); err != nil {
		t.Fatal(err)
	}
}
