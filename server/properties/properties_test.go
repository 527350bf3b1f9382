package properties

import (
	"bytes"
	"slices"
	"testing"
)

func TestRead(t *testing.T) {
	text := []byte("# a\n a = b \n\n!c\nd:e\\\n   f\ng h=\\u0069\\t\nj\nd=k\r\nl\\=m=n\nbad=\\u12\n\xe4=\xf6")
	want := []Property{{"a", "b", 2}, {"d", "ef", 5}, {"g", "h=i", 7}, {"j", "", 8}, {"d", "k", 9}, {"l=m", "n", 10}, {"ä", "ö", 12}}
	got, bad := ReadFile(text)
	if !slices.Equal(got, want) || len(bad) != 1 || bad[0].Line != 11 || bad[0].Err != ErrEscape {
		t.Errorf("got %v, malformed %v", got, bad)
	}
	got, _ = Read([]byte("ä=ö"))
	if !slices.Equal(got, []Property{{"ä", "ö", 1}}) {
		t.Errorf("UTF-8: %v", got)
	}
}

func TestWithout(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"a=1\n":                         "a=1\n",
		"x=1":                           "",
		"# x=0\n\nx=1\na=1\r\n":         "# x=0\n\na=1\r\n",
		"a=1\nx=1\\\n 2\\\n 3\n#\nb=2":  "a=1\n#\nb=2",
		"x\r\na=\\\nx=1\n  x : 1\rb=\\": "a=\\\nx=1\nb=\\",
	} {
		if got := Without([]byte(text), func(key string) bool { return key == "x" }); string(got) != want {
			t.Errorf("%q without x is %q, want %q", text, got, want)
		}
	}
}

// FuzzWithout: what is left are the other properties, in order.
func FuzzWithout(f *testing.F) {
	f.Add([]byte("# c\nx=1\\\n2\na=b\r\nx\n"))
	f.Add([]byte("\\u0078=1\na\\\r\n\\\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, _ := ReadFile(text)
		left, _ := ReadFile(Without(text, func(key string) bool { return key == "x" }))
		all = slices.DeleteFunc(all, func(p Property) bool { return p.Key == "x" })
		same := slices.EqualFunc(all, left, func(a, b Property) bool { return a.Key == b.Key && a.Value == b.Value })
		if !same {
			t.Fatalf("%q: %v, want %v", text, left, all)
		}
		if kept := Without(text, func(string) bool { return false }); !bytes.Equal(kept, text) {
			t.Fatalf("%q became %q", text, kept)
		}
	})
}
