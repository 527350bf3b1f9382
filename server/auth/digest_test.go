package auth

import (
	"slices"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// The tables of this file were made with the provider of Apache ZooKeeper 3.8.0.

func TestDigestIDs(t *testing.T) {
	for text, want := range map[string]string{
		"user:password": "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=",
		"alice:secret":  "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=",
		"super:x":       "super:eXJov8znpQ4dl1Mi6FnyKh1mSgw=",
		"a:b:c":         "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0=",
		"u:":            "u:IX23jg4I7W2/R//KoV8VL1UfuBM=",
		"u":             "u:UeaYkqtJ34XGIwzMV/jh0WBsrMw=",
		":p":            ":LlDE5iroUDDm9zdvmLsfjkUvn0k=",
		"":              ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
		"ü:ß":           "ü:vB6Co0vguxtrKN0lKrXliXiGJq4=",
	} {
		if got := digestID(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestValidDigestIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"a:b": true, ":b": true, "a:b:": true, "a:b::": true,
		"": false, "a": false, "a:": false, "a::": false, ":": false, "::": false, "::c": false, "a:b:c": false,
	} {
		if got := (digest{}).Valid(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}

func TestSuper(t *testing.T) {
	d := Digest(digestID("super:x"), "")
	if ids, v := d.Authenticate(Conn{}, []byte("super:x")); v != Accepted || !slices.Contains(ids, wire.ID{Scheme: SuperScheme}) {
		t.Errorf("the super user is %v", ids)
	}
	for _, wrong := range []string{"super:y", "super", "", "other:x"} {
		if ids, _ := d.Authenticate(Conn{}, []byte(wrong)); slices.Contains(ids, wire.ID{Scheme: SuperScheme}) {
			t.Errorf("%q is the super user", wrong)
		}
	}
	if ids, _ := Digest("", "").Authenticate(Conn{}, []byte{}); len(ids) != 1 {
		t.Errorf("without a super user there are %v", ids)
	}
	if ids, v := d.Authenticate(Conn{}, nil); v != Failed || len(ids) != 0 {
		t.Errorf("null is %v", ids)
	}
}

// The ids were made with Java 17.
func TestDigestAlgorithms(t *testing.T) {
	for algorithm, want := range map[string]string{
		"": "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=", "SHA1": "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=", "sha-1": "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=",
		"MD5":         "OunqX+etW/ZSxR9D2ldCLA==",
		"SHA-224":     "6GVb/vhYOXU2cAmhuRkcw8i4Z9QlgKhGYZai5Q==",
		"SHA-256":     "yRsdas04PETE7CDJcj51jDEYKh9PAjHWPZElmi6hS50=",
		"SHA256":      "yRsdas04PETE7CDJcj51jDEYKh9PAjHWPZElmi6hS50=",
		"SHA-384":     "htIoC30hHolTa+/hAI2QsaAqrqOKMHUmlPlzBeIkfRWNGBi/8/dVKpuOsOWVq8qs",
		"SHA-512":     "jpg++2gII4jzID8eXmWBSuUbGt1jbK9iB9PlOOf0uNwG7O0rsNtKX7GP4vq+QM0ncsfbzxZTuyf0xv2Xbkfz1Q==",
		"SHA-512/224": "MZdBJGxu8PSnKQpp+Fo/Xs6A8MWSKppTyvOXgQ==",
		"SHA-512/256": "BJ4p7RfQWcJD4uSvfIaTRHf2W3T/r7vXir0nGIUZvt4=",
		"SHA3-224":    "iE1hEZYPbgaQsjoOF7BzR3Lz7yiM2opep1De6g==",
		"SHA3-256":    "NAR2RZ7JZxGXKOuQubzhytx9PjP71AWWZoOY+TVw1hw=",
		"SHA3-384":    "ohHEqQqd1LbhZS1M4c5EPH62D07UypO0a5QNAmWrxR442b/TvdLCT3OKB2ZtvgnF",
		"SHA3-512":    "crJkDTyqNBLSeN9ANTupt+rbekG69LtWeiMDgZ83Q+aPOWeSWYcv+UR8e+oDQH+grRbbiWDlL9r4FgwNVo+jdg==",
	} {
		ids, v := Digest("", algorithm).Authenticate(Conn{}, []byte("user:password"))
		if v != Accepted || len(ids) != 1 || ids[0].ID != "user:"+want {
			t.Errorf("%s: %v, %v", algorithm, ids, v)
		}
	}
	for algorithm, want := range map[string]bool{"SHA3-256": true, "sha3-256": true, "SHA3": false, "MD2": false, "": false} {
		if got := KnowsDigest(algorithm); got != want {
			t.Errorf("%s is known: %t", algorithm, got)
		}
	}
}
