package txnlog

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// BenchmarkAppendSync appends batches of txns of 1 KB and syncs each batch, on the disk of the directory for temporary
// files.
func BenchmarkAppendSync(b *testing.B) {
	for _, batch := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			w := NewWriter(vfs.OS, b.TempDir(), 64<<20)
			data := entry(rand.New(rand.NewPCG(1, 1)), 1, 1024).Bytes
			b.SetBytes(int64(batch * len(data)))
			zxid := wire.Zxid(0)
			for b.Loop() {
				for range batch {
					zxid++
					for i := range 8 { // as nobody else has these bytes
						data[12+i] = byte(zxid >> (56 - 8*i))
					}
					if err := w.Append(zxid, data); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(zxid)/b.Elapsed().Seconds(), "txns/s")
			if err := w.Roll(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	fs, dir := vfs.OS, b.TempDir()
	w := NewWriter(fs, dir, 64<<20)
	r := rand.New(rand.NewPCG(1, 1))
	for zxid := wire.Zxid(1); zxid <= 50_000; zxid++ {
		if err := w.Append(zxid, entry(r, zxid, 200).Bytes); err != nil {
			b.Fatal(err)
		}
	}
	size := w.size
	if err := w.Roll(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		r, err := OpenReader(fs, path.Join(dir, Name(1)))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
