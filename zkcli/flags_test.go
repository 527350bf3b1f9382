package zkcli

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	some := of("swR", "v", "file", "members")
	for _, test := range []struct {
		flags  flags
		line   string
		words  string
		values map[string]string
		err    string
	}{
		{some, "ls /a", "ls /a", nil, ""},
		{some, "ls -s /a -w", "ls /a", map[string]string{"s": "", "w": ""}, ""},
		{some, "ls -sw /a", "ls /a", map[string]string{"s": "", "w": ""}, ""},
		{some, "set -v 1 /a", "set /a", map[string]string{"v": "1"}, ""},
		{some, "set -v1 /a", "set /a", map[string]string{"v": "1"}, ""},
		{some, "set -v=1 /a", "set /a", map[string]string{"v": "1"}, ""},
		{some, "set -sv1 /a", "set /a", map[string]string{"s": "", "v": "1"}, ""},
		{some, "set -sv 1 /a", "set /a", map[string]string{"s": "", "v": "1"}, ""},
		{some, "set -v -1 /a", "set /a", map[string]string{"v": "-1"}, ""},
		{some, "set -v -x /a", "set /a", map[string]string{"v": "-x"}, ""},
		{some, "set -v 1 -v 2", "set", map[string]string{"v": "1"}, ""},
		{some, `set -v "1"`, "set", map[string]string{"v": "1"}, ""},
		{some, "reconfig -file f", "reconfig", map[string]string{"file": "f"}, ""},
		{some, "ls -- -s", "ls -s", nil, ""},
		{some, "ls - x", "ls - x", nil, ""},
		{some, "reconfig -file=f", "", nil, "UnrecognizedOptionException: Unrecognized option: -file=f"},
		{some, "ls -x", "", nil, "UnrecognizedOptionException: Unrecognized option: -x"},
		{some, "ls -sx", "", nil, "UnrecognizedOptionException: Unrecognized option: -sx"},
		{some, "ls --s", "", nil, "UnrecognizedOptionException: Unrecognized option: --s"},
		{some, "ls -s=1", "", nil, "UnrecognizedOptionException: Unrecognized option: -s=1"},
		{some, "set -v", "", nil, "MissingArgumentException: Missing argument for option: v"},
		{some, "set -v -s", "", nil, "MissingArgumentException: Missing argument for option: v"},
		{some, "set -v --", "", nil, "MissingArgumentException: Missing argument for option: v"},
		{limits(true), "setquota -n 1 /a", "setquota /a", map[string]string{"n": "1"}, ""},
		{limits(true), "setquota -n 1 -n 2 /a", "setquota /a", map[string]string{"n": "1"}, ""},
		{limits(true), "setquota -n 1 -B 2 /a", "", nil,
			"AlreadySelectedException: The option 'B' was specified but an option from this group has already been selected: 'n'"},
		{limits(true), "setquota /a", "", nil, "MissingOptionException: Missing required option: " +
			"[-n num soft quota, -b bytes soft quota, -N num hard quota, -B bytes hard quota]"},
		{limits(false), "delquota /a", "delquota /a", nil, ""},
	} {
		a, err := test.flags.parse(strings.Fields(test.line))
		if test.err != "" {
			if err == nil || err.Error() != "org.apache.commons.cli."+test.err {
				t.Errorf("%s: %v instead of %s", test.line, err, test.err)
			}
			continue
		}
		if err != nil || !slices.Equal(a.words, strings.Fields(test.words)) || !maps.Equal(a.values, test.values) {
			t.Errorf("%s: %q, %v, %v", test.line, a.words, a.values, err)
		}
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("set -v 1 /a")
	f.Add("ls -sw -- -")
	f.Add("reconfig -file=x -v-1 --members")
	f.Fuzz(func(t *testing.T, line string) {
		raw := strings.Split(line, " ")
		a, err := of("sw", "v", "file").parse(raw)
		if err == nil && len(a.words)+2*len(a.values) < 1 && len(raw) > 2 {
			t.Errorf("%q leaves nothing", line)
		}
	})
}
