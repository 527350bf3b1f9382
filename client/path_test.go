package client

import (
	"slices"
	"testing"
)

func TestCheckPath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "/a": "", "/a.b/..c/d..": "", "/ü/中": "", "/a b": "",
		"": "Path length must be > 0", "a": "Path must start with / character", "/a/": "Path must not end with / character",
		"//":        "Path must not end with / character",
		"/a//b":     `Invalid path string "/a//b" caused by empty node name specified @3`,
		"/a/./b":    `Invalid path string "/a/./b" caused by relative paths not allowed @3`,
		"/a/..":     `Invalid path string "/a/.." caused by relative paths not allowed @4`,
		"/..":       `Invalid path string "/.." caused by relative paths not allowed @2`,
		"/a\x00":    "Invalid path string \"/a\x00\" caused by null character not allowed @2",
		"/a\tb":     "Invalid path string \"/a\tb\" caused by invalid character @2",
		"/\x7f":     "Invalid path string \"/\x7f\" caused by invalid character @1",
		"/a\uf000":  "Invalid path string \"/a\uf000\" caused by invalid character @2",
		"/aü\ufff0": "Invalid path string \"/aü\ufff0\" caused by invalid character @3",
		"/a😀":       `Invalid path string "/a😀" caused by invalid character @2`,
	} {
		got := ""
		if err := checkPath(path); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q instead of %q", path, got, want)
		}
	}
}

func TestParseServers(t *testing.T) {
	for _, test := range []struct {
		text      string
		addresses []string
		chroot    string
		err       string
	}{
		{"a", []string{"a:2181"}, "", ""},
		{"a:1, b:2 ,,c:/x/y", []string{"a:1", "b:2", "c:2181"}, "/x/y", ""},
		{"[::1]:3,[fe80::2]/", []string{"[::1]:3", "[fe80::2]:2181"}, "", ""},
		{"::1:3", []string{"[::1]:3"}, "", ""},
		{"", nil, "", "A HostProvider may not be empty!"},
		{"/x", nil, "", "A HostProvider may not be empty!"},
		{"a/x/", nil, "", "Path must not end with / character"},
		{"a:b", nil, "", `For input string: "b"`},
		{"a:70000", nil, "", "port out of range:70000"},
	} {
		addresses, chroot, err := parseServers(test.text)
		if err != nil && err.Error() != test.err || err == nil && test.err != "" || !slices.Equal(addresses, test.addresses) || err == nil && chroot != test.chroot {
			t.Errorf("%q: %v, %q, %v", test.text, addresses, chroot, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a/../b", "/\xff", "a:1,[::1]:2/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := checkPath(s); err == nil && s[0] != '/' {
			t.Errorf("%q is a path", s)
		}
		if addresses, _, err := parseServers(s); err == nil && len(addresses) == 0 {
			t.Errorf("%q has no servers", s)
		}
	})
}
