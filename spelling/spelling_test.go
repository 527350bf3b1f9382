package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"address", "id", "name", "role", "identity_files"}
	for in, want := range map[string]string{
		"adress": "address", "nmae": "name", "idd": "id", "colour": "", "Role": "role", "identity_file": "identity_files",
		strings.Repeat("identity", 1<<20): "", // would take a table of gigabytes
	} {
		if got := Nearest(in, words); got != want {
			t.Errorf("Nearest(%.80q) = %q, want %q", in, got, want)
		}
	}
}
