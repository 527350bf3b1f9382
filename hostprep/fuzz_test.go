package hostprep

import (
	"bytes"
	"net/netip"
	"testing"
)

// FuzzHostsContent: whatever stands in /etc/hosts, writing the block twice is like writing it once, and what comes back when
// it is removed is what was there before it was written.
func FuzzHostsContent(f *testing.F) {
	f.Add([]byte("127.0.0.1\tlocalhost\n127.0.1.1\tzk1.lab zk1\n# end"))
	f.Add([]byte("127.0.1.1 zk1 alias # why\r\n::1 localhost\r\n"))
	f.Add([]byte("# BEGIN zkctl lab: x\n10.0.0.9 old\n" + hostsEnd + "\n" + hostsNeutral + "127.0.1.1 zk1\n"))
	f.Add([]byte("# BEGIN zkctl other: x\n127.0.0.1 zk1\n# END zkctl\n127.0.0.1 zk1 zk2 zk3\n"))
	f.Add([]byte("# BEGIN zkctl\n10.0.0.9 x\n# BEGIN zkctl\n"))
	entries := []Entry{{netip.MustParseAddr("10.0.0.1"), []string{"zk1.lab", "zk1"}}, {netip.MustParseAddr("10.0.0.2"), []string{"zk2"}}}
	f.Fuzz(func(t *testing.T, content []byte) {
		once := HostsContent(content, "lab", entries, "zk1")
		if twice := HostsContent(once, "lab", entries, "zk1"); !bytes.Equal(once, twice) {
			t.Fatalf("written once\n%q\ntwice\n%q", once, twice)
		}
		shared := HostsContent(once, "other", entries, "zk2")
		if again := HostsContent(shared, "lab", entries, "zk1"); !bytes.Equal(shared, again) {
			t.Fatalf("two ensembles\n%q\nthe first again\n%q", shared, again)
		}
		if bytes.Contains(content, []byte("zkctl")) {
			return // what was ours before need not come back
		}
		undone := HostsContent(once, "lab", nil)
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(bytes.Clone(content), undone[min(len(content), len(undone)):]...)
			if end := content[len(content)-min(2, len(content)):]; !bytes.HasSuffix(end, []byte("\n")) {
				t.Fatalf("%q does not end a line", content)
			}
		}
		if !bytes.Equal(undone, content) {
			t.Fatalf("%q\nbecame\n%q", content, undone)
		}
	})
}
