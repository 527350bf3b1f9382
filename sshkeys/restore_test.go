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

// What goes is what was put there for these keys, and nothing else.
func TestTake(t *testing.T) {
	mine, theirs, gone := key(t, 1, "root@a"), key(t, 2, "root@b"), key(t, 3, "root@gone")
	original := "# by hand\r\n" + theirs.Line() + " a comment of my own"
	now, _ := MergeAuthorized([]byte(original), []PublicKey{mine, theirs, gone})
	now = append(now, "no-pty "+gone.Line()+"\nlater\n\n"...)
	want := original + "\n" + mine.Line() + "\nno-pty " + gone.Line() + "\nlater\n\n"
	if got := TakeAuthorized([]byte(original), now, []PublicKey{theirs, gone}); string(got) != want {
		t.Errorf("authorized_keys:\n%s\nwant\n%s", got, want)
	}
	if got := TakeAuthorized(nil, []byte(gone.Line()+"\n"), []PublicKey{gone}); len(got) != 0 {
		t.Errorf("authorized_keys of the gone alone: %q", got)
	}

	known := func(name string, k PublicKey) Known {
		return Known{Names: []string{name, "10.0.0." + name}, Keys: []PublicKey{k}}
	}
	original = "7 " + gone.text() + "\nold " + theirs.text() + "\n"
	now, _ = MergeKnown([]byte(original), []Known{known("1", mine), known("7", gone)})
	now = append(now, "7,alias "+gone.text()+"\n@revoked 7 "+gone.text()+"\n8 "+gone.text()+"\n"...)
	want = original + "1,10.0.0.1 " + mine.text() + "\n7,alias " + gone.text() + "\n@revoked 7 " + gone.text() + "\n8 " + gone.text() + "\n"
	if got := TakeKnown([]byte(original), now, []Known{known("7", gone)}); string(got) != want {
		t.Errorf("known_hosts:\n%s\nwant\n%s", got, want)
	}
}
