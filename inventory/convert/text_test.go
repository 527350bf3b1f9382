package convert

import "testing"

func TestText(t *testing.T) {
	for written, want := range map[string]string{
		"":                                   "",
		"zk1 é\r\n":                          "zk1 é\r\n",
		"\xef\xbb\xbf[zk]":                   "[zk]",
		"\xff\xfez\x00k\x00\xe9\x00":         "zké",
		"\xfe\xff\x00z\x00k\xd8\x3d\xde\x00": "zk😀",
		"\xff\xfez\x00k":                     "z",
	} {
		if got := Text([]byte(written)); string(got) != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
}
