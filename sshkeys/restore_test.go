package sshkeys

import "testing"

func TestWithout(t *testing.T) {
	keys := []PublicKey{key(t, 1, "a@a"), key(t, 2, "b@b")}
	mine := "ssh-rsa AAAA me\r\n# note\n\nwithout end"
	merged, _ := MergeAuthorized([]byte(mine), keys)
	if got, edited := Without([]byte(mine), merged, keys, false); edited || string(got) != mine {
		t.Errorf("%q, %v", got, edited)
	}
	// Somebody has added a line and removed one.
	got, edited := Without([]byte("one\ntwo\n"), []byte("two\n"+keys[0].Line()+"\nthree\n"), keys, false)
	if !edited || string(got) != "two\nthree\n" {
		t.Errorf("%q, %v", got, edited)
	}
	// What zkctl itself has replaced comes back.
	if got, edited := Without([]byte("old ssh-rsa AAAA\n"), []byte(keys[1].Line()+"\n"), keys, true); edited || string(got) != "old ssh-rsa AAAA\n" {
		t.Errorf("%q, %v", got, edited)
	}
	if got, edited := Without(nil, []byte(keys[1].Line()+"\n"), keys, false); edited || got != nil {
		t.Errorf("%q, %v", got, edited)
	}
}
