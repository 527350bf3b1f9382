package sshkeys

import (
	"bytes"
	"testing"
)

// FuzzMerge: whatever stands in authorized_keys and known_hosts, every line of it stays or is told of, merging twice is
// like merging once, and the keys are in afterwards.
func FuzzMerge(f *testing.F) {
	keys := []PublicKey{fuzzKey(f, "AAAAC3NzaC1lZDI1NTE5AAAAIJ4CHhmvyvVM7VXd2JLDp4uS1AYAGxVzA6F9ZzTnKjeE"), fuzzKey(f, "AAAAC3NzaC1lZDI1NTE5AAAAIBq7T8WlzB2nGzjGmFvD3sNjTzTtZmXkFvJGq9YzUqDn")}
	known := []Known{{Names: []string{"zk1", "[10.0.0.1]:2222"}, Keys: keys[:1]}, {Names: []string{"zk2"}, Keys: keys[1:]}}
	f.Add([]byte(keys[0].Line()), []byte("zk1,other "+keys[1].Line()+"\n"))
	f.Add([]byte("restrict,command=\"x\" "+keys[1].Line()+" me\r\n\n# c"), []byte("@revoked * "+keys[1].Line()+"\n|1|a|b "+keys[0].Line()))
	f.Fuzz(func(t *testing.T, authorized, hosts []byte) {
		once, _ := MergeAuthorized(authorized, keys)
		if !bytes.HasPrefix(once, authorized) {
			t.Fatalf("%q became %q", authorized, once)
		}
		if twice, _ := MergeAuthorized(once, keys); !bytes.Equal(once, twice) {
			t.Fatalf("authorized_keys merged once\n%q\ntwice\n%q", once, twice)
		}
		once, stale := MergeKnown(hosts, known)
		twice, again := MergeKnown(once, known)
		if !bytes.Equal(once, twice) || len(again) > 0 {
			t.Fatalf("known_hosts merged once\n%q\ntwice\n%q, stale %q", once, twice, again)
		}
		if len(stale) == 0 && !bytes.HasPrefix(once, hosts) {
			t.Fatalf("%q became %q, and nothing was stale", hosts, once)
		}
	})
}

func fuzzKey(f *testing.F, blob string) PublicKey {
	f.Helper()
	k, err := ParsePublicKey("ssh-ed25519 " + blob + " zkctl")
	if err != nil {
		f.Fatal(err)
	}
	return k
}
