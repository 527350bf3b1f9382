package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/wire"
)

func (b *site) names() string {
	b.t.Helper()
	names, err := b.fs.List("/d")
	b.must(err)
	var list []string
	for _, name := range names {
		if !strings.Contains(name, "Epoch") {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

func (b *site) purges(retain, files int, left string) {
	b.t.Helper()
	if n, err := b.s.Purge(retain); err != nil || n != files {
		b.t.Errorf("%d files are deleted instead of %d: %v", n, files, err)
	}
	if names := b.names(); names != left {
		b.t.Errorf("what is left is\n%s\ninstead of\n%s", names, left)
	}
}

func TestPurge(t *testing.T) {
	b := newSite(t, Options{})
	for range 5 {
		b.append(2)
		b.snapshot()
	}
	b.append(1)
	all := "log.1 log.3 log.5 log.7 log.9 log.b snapshot.0 snapshot.2 snapshot.4 snapshot.6 snapshot.8 snapshot.a"
	b.purges(10, 0, all)
	b.purges(6, 0, all)
	b.purges(5, 1, "log.1 log.3 log.5 log.7 log.9 log.b snapshot.2 snapshot.4 snapshot.6 snapshot.8 snapshot.a")
	// Less than three is three. The log that begins before the oldest snapshot may end behind it.
	b.purges(1, 4, "log.5 log.7 log.9 log.b snapshot.6 snapshot.8 snapshot.a")
	b.purges(3, 0, b.names())
	b.recovers(11)

	// Each of those kept leads to the end.
	b.remove("snapshot.a")
	b.recovers(11)
	b.remove("snapshot.8")
	b.recovers(11)
}

// TestPurgeSparesGoodSnapshots: a damaged one does not count, whatever its compression.
func TestPurgeSparesGoodSnapshots(t *testing.T) {
	for _, c := range []snap.Compression{snap.None, snap.Gzip, snap.Snappy} {
		t.Run(string(c), func(t *testing.T) {
			b := newSite(t, Options{Compression: c})
			name := func(z int) string { return snap.FileName(wire.Zxid(z), c) }
			for range 5 {
				b.append(1)
				b.snapshot()
			}
			for _, z := range []int{5, 3} {
				whole := b.read(name(z))
				b.write(name(z), whole[:len(whole)-1])
			}
			b.purges(3, 1, fmt.Sprintf("log.1 log.2 log.3 log.4 log.5 %s %s %s %s %s", name(1), name(2), name(3), name(4), name(5)))
			b.recovers(5)
			b.write(name(4), nil)
			b.purges(3, 0, b.names())
			b.recovers(5)
		})
	}
}

// TestPurgeMixedCompression: the same snapshot twice is one.
func TestPurgeMixedCompression(t *testing.T) {
	b := newSite(t, Options{})
	for range 3 {
		b.append(1)
		b.snapshot()
	}
	b.opts.Compression = snap.Gzip
	b.recovers(3)
	b.snapshot()
	b.purges(3, 1, "log.1 log.2 log.3 snapshot.1 snapshot.2 snapshot.3 snapshot.3.gz")
	b.recovers(3)
}
