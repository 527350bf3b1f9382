package snap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// grove returns a tree with nodes of every kind, and data of this length.
func grove(nodes, dataBytes int) *tree.Tree {
	t := tree.New(tree.Options{ExtendedTypes: true})
	r := rand.New(rand.NewPCG(1, 1))
	zxid := wire.Zxid(0)
	apply := func(op wire.OpCode, rec txn.Record) {
		zxid++
		t.Apply(txn.Header{Session: 7, Zxid: zxid, Time: 5, Type: op}, rec, nil)
	}
	apply(wire.OpCreateSession, &txn.CreateSession{TimeoutMillis: 4000})
	for i := range nodes {
		data := make([]byte, dataBytes)
		for i := range data {
			data[i] = byte(r.Uint32() & 0x3f)
		}
		acl := []wire.ACL{{Perms: wire.Perms(1 + i%31), ID: wire.ID{Scheme: "digest", ID: "a:b"}}}
		path := fmt.Sprintf("/n%d", i)
		if i%10 > 0 {
			path = fmt.Sprintf("/n%d/child%d", i-i%10, i)
		}
		switch {
		case i%10 == 1:
			apply(wire.OpCreate, &txn.Create{Path: path, ACL: acl, Ephemeral: true, ParentCversion: -1})
		case i%10 == 2:
			apply(wire.OpCreateTTL, &txn.CreateTTL{Path: path, Data: []byte{}, ACL: acl, ParentCversion: -1, TTL: 1000})
		case i%10 == 3:
			apply(wire.OpCreateContainer, &txn.CreateContainer{Path: path, Data: data, ACL: acl, ParentCversion: -1})
		default:
			apply(wire.OpCreate, &txn.Create{Path: path, Data: data, ACL: acl, ParentCversion: -1})
		}
	}
	return t
}

func file(t testing.TB, tr *tree.Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	write(t, &b, tr)
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, nodes := range []int{0, 1, 7, 500} {
		tr := grove(nodes, 30)
		b := file(t, tr)
		got, err := ReadFile(bytes.NewReader(b), tr.LastZxid(), tr.Options())
		if err != nil {
			t.Fatal(err)
		}
		if got.Newest != tr.LastZxid() || got.Tree.Digest() != tr.Digest() || got.Tree.SessionCount() != tr.SessionCount() || got.Tree.EphemeralCount() != tr.EphemeralCount() {
			t.Errorf("%d nodes: another tree", nodes)
		}
		if again := file(t, got.Tree); !bytes.Equal(again, b) {
			t.Errorf("%d nodes: written again it differs", nodes)
		}
		var stream bytes.Buffer
		e, err := NewStream(&stream, tr)
		for more := true; more && err == nil; {
			more, err = e.Next(3)
		}
		if err = errors.Join(err, e.Finish()); err != nil {
			t.Fatal(err)
		}
		stream.WriteString("what follows")
		in := bufio.NewReader(&stream)
		restored, err := ReadStream(in, tr.LastZxid(), tr.Options())
		if err != nil || restored.Digest() != tr.Digest() {
			t.Fatalf("%d nodes as a stream: %v", nodes, err)
		}
		if rest, _ := io.ReadAll(in); string(rest) != "what follows" {
			t.Errorf("behind the stream is left %q", rest)
		}
	}
}

// TestTrailers: what follows the nodes depends on the version that wrote the file.
func TestTrailers(t *testing.T) {
	tr := grove(5, 3)
	whole := file(t, tr)
	bare := whole[:len(whole)-digestBytes]
	seal := func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(b))), endOfSeal...)
	}
	digest := func(b []byte, zxid wire.Zxid) []byte {
		return seal(wire.AppendInt64(wire.AppendInt32(wire.AppendInt64(bytes.Clone(b), int64(zxid)), 2), 77))
	}
	applied := func(b []byte, zxid wire.Zxid) []byte { return seal(wire.AppendInt64(bytes.Clone(b), int64(zxid))) }
	for name, c := range map[string]struct {
		b      []byte
		newest wire.Zxid
		bad    bool
	}{
		"before 3.6":                 {bare, -1, false},
		"3.6":                        {digest(bare, 9), 9, false},
		"3.9":                        {applied(digest(bare, 9), 8), 9, false},
		"3.9, digest unknown":        {applied(digest(bare, 0), 8), 8, false},
		"3.9 without digests":        {applied(bare, 9), 9, false},
		"wrong seal of the digest":   {append(digest(bare, 9)[:len(bare)+27], "\x01\x00\x00\x00\x01/"...), 0, true},
		"wrong seal of the last one": {append(applied(digest(bare, 9), 9)[:len(bare)+33+15], "\x01\x00\x00\x00\x01/"...), 0, true},
		"part of a digest":           {digest(bare, 9)[:len(bare)+20], 0, true},
		"too much":                   {applied(applied(digest(bare, 9), 9), 9), 0, true},
	} {
		got, err := ReadFile(bytes.NewReader(c.b), 6, tr.Options())
		switch {
		case c.bad:
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || got.Newest != c.newest || got.Tree.Digest() != tr.Digest():
			t.Errorf("%s: newest %v, %v", name, got.Newest, err)
		}
	}
}

// TestDamage changes and cuts a snapshot everywhere.
func TestDamage(t *testing.T) {
	tr := grove(12, 5)
	plain := file(t, tr)
	for _, c := range []Compression{None, Gzip, Snappy} {
		b := packed(t, plain, c)
		for at := range b {
			damaged := bytes.Clone(b)
			damaged[at] ^= 1 << (at % 8)
			got, err := ReadFile(Decompress(bytes.NewReader(damaged), c), tr.LastZxid(), tr.Options())
			if errors.Is(err, ErrInvalid) {
				continue
			}
			// Neither format protects all of its own bytes, such as the time in the header of gzip; what they hold is sealed.
			if err != nil || c == None || got.Tree.Digest() != tr.Digest() {
				t.Errorf("%q with byte %d changed: %v", c, at, err)
			}
		}
		for cut := range b {
			if c == None && cut == len(b)-digestBytes {
				continue
			}
			if _, err := ReadFile(Decompress(bytes.NewReader(b[:cut]), c), 1, tr.Options()); !errors.Is(err, ErrInvalid) {
				t.Errorf("%q, %d of %d bytes: %v", c, cut, len(b), err)
			}
			// A gzip file that lacks its last bytes may look whole to nobody.
			if Whole(bytes.NewReader(b[:cut]), int64(cut), c) && c != None {
				t.Errorf("%q, %d of %d bytes look whole", c, cut, len(b))
			}
		}
		if !Whole(bytes.NewReader(b), int64(len(b)), c) {
			t.Errorf("%q does not look whole", c)
		}
	}
}

func packed(t testing.TB, plain []byte, c Compression) []byte {
	t.Helper()
	var b bytes.Buffer
	w := Compress(&b, c)
	for r := bytes.NewReader(plain); r.Len() > 0; {
		if _, err := io.CopyN(w, r, int64(min(r.Len(), 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCompression(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, c := range []Compression{None, Gzip, Snappy} {
		for _, n := range []int{0, 1, snappyBlockBytes - 1, snappyBlockBytes, snappyBlockBytes + 1, 5 * snappyBlockBytes} {
			plain := make([]byte, n)
			for i := range plain {
				plain[i] = byte(r.Uint32() >> (i % 32))
			}
			b := packed(t, plain, c)
			got, err := io.ReadAll(Decompress(bytes.NewReader(b), c))
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%q: %d of %d bytes: %v", c, len(got), n, err)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"snapshot.0": "0x0 ", "snapshot.1000000ff": "0x1000000ff ", "snapshot.a.gz": "0xa gz", "snapshot.a.snappy": "0xa snappy",
		"snapshot.": "", "snapshot.x": "", "snapshot.0a": "", "snapshot.A": "", "snapshot.a.tmp": "", "snapshot.a.": "", "snapshot.a.gz.gz": "",
		"snapshots.a": "", "tmp.1.snapshot.a": "", "log.a": "", "snapshot.ffffffffffffffff0": "",
	} {
		zxid, c, ok := ParseName(name)
		got := ""
		if ok {
			got = fmt.Sprintf("%v %s", zxid, c)
		}
		if got != want {
			t.Errorf("%s is %q instead of %q", name, got, want)
		}
	}
}

// TestHugeLengths: what a length promises is allocated when it comes.
func TestHugeLengths(t *testing.T) {
	head := wire.AppendInt64(wire.AppendInt32(wire.AppendInt32(nil, magic), version), -1)
	empty := wire.AppendInt32(wire.AppendInt32(bytes.Clone(head), 0), 0)
	for name, b := range map[string][]byte{
		"sessions": wire.AppendInt32(bytes.Clone(head), 1<<30),
		"lists":    wire.AppendInt32(wire.AppendInt32(bytes.Clone(head), 0), 1<<30),
		"list":     wire.AppendInt32(wire.AppendInt64(wire.AppendInt32(wire.AppendInt32(bytes.Clone(head), 0), 1), 1), 1<<30),
		"path":     wire.AppendInt32(bytes.Clone(empty), 200<<20),
		"data":     wire.AppendInt32(wire.AppendString(bytes.Clone(empty), "/a"), 200<<20),
		"negative": wire.AppendInt32(bytes.Clone(empty), -2),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadFile(bytes.NewReader(b), 1, tree.Options{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrInvalid) || n > 1<<20 {
			t.Errorf("%s: %d bytes are allocated, %v", name, n, err)
		}
	}
	bomb := append(wire.AppendInt32([]byte(snappyMagic), 1), 0, 0, 0, 1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x7f, 0)
	if _, err := io.ReadAll(Decompress(bytes.NewReader(bomb), Snappy)); err == nil || !strings.Contains(err.Error(), "block of 5 bytes") {
		t.Error(err)
	}
}

func FuzzReadFile(f *testing.F) {
	tr := grove(4, 3)
	plain := file(f, tr)
	for _, c := range []Compression{None, Gzip, Snappy} {
		f.Add(packed(f, plain, c), string(c))
	}
	f.Fuzz(func(t *testing.T, b []byte, compression string) {
		c := Compression(compression)
		if !c.Valid() {
			return
		}
		Whole(bytes.NewReader(b), int64(len(b)), c)
		got, err := ReadFile(Decompress(bytes.NewReader(b), c), 9, tree.Options{ExtendedTypes: true})
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		same(t, got.Tree)
	})
}

func FuzzReadStream(f *testing.F) {
	var b bytes.Buffer
	e, err := NewStream(&b, grove(4, 3))
	for more := true; more && err == nil; {
		more, err = e.Next(3)
	}
	if err := errors.Join(err, e.Finish()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01/\x00\x00\x00\x0aBenWasHere")) // without a root
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadStream(bufio.NewReader(bytes.NewReader(b)), 9, tree.Options{ExtendedTypes: true})
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		same(t, got)
	})
}

// same checks that a tree is written and read back the same.
func same(t *testing.T, tr *tree.Tree) {
	t.Helper()
	again, err := ReadFile(bytes.NewReader(file(t, tr)), tr.LastZxid(), tr.Options())
	if err != nil || again.Tree.Digest() != tr.Digest() || again.Tree.NodeCount() != tr.NodeCount() {
		t.Fatalf("written again it is another tree: %v", err)
	}
	if tr.Digest() != tr.CheckedDigest() {
		t.Fatal("the digest is wrong")
	}
}

func BenchmarkWriteFile(b *testing.B) { benchmarkWrite(b, None) }
func BenchmarkWriteGzip(b *testing.B) { benchmarkWrite(b, Gzip) }
func BenchmarkWriteSnappy(b *testing.B) {
	benchmarkWrite(b, Snappy)
}

func benchmarkWrite(b *testing.B, c Compression) {
	tr := grove(100_000, 100)
	n := len(file(b, tr))
	b.SetBytes(int64(n))
	b.ReportMetric(float64(tr.NodeCount()), "nodes")
	for b.Loop() {
		w := Compress(io.Discard, c)
		write(b, w, tr)
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadFile(b *testing.B)   { benchmarkRead(b, None) }
func BenchmarkReadGzip(b *testing.B)   { benchmarkRead(b, Gzip) }
func BenchmarkReadSnappy(b *testing.B) { benchmarkRead(b, Snappy) }

func benchmarkRead(b *testing.B, c Compression) {
	tr := grove(100_000, 100)
	plain := file(b, tr)
	content := packed(b, plain, c)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadFile(Decompress(bytes.NewReader(content), c), tr.LastZxid(), tr.Options()); err != nil {
			b.Fatal(err)
		}
	}
}

// What follows the nodes depends on the settings; the reader tells them apart.
func TestTrailersBySettings(t *testing.T) {
	for _, c := range []struct {
		noDigest, applied bool
		bytes             int
		newest            wire.Zxid
	}{
		{false, false, digestBytes, 21},
		{false, true, digestBytes + appliedBytes, 21},
		{true, true, appliedBytes, 21},
		{true, false, 0, -1},
	} {
		tr := grove(20, 3)
		opts := tree.Options{ExtendedTypes: true, NoDigest: c.noDigest}
		whole, err := ReadFile(bytes.NewReader(file(t, tr)), tr.LastZxid(), opts)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		e, err := NewFile(&b, whole.Tree)
		if err != nil {
			t.Fatal(err)
		}
		if c.applied {
			e.AddApplied()
		}
		for more := true; more && err == nil; {
			more, err = e.Next(10)
		}
		if err == nil {
			err = e.Finish()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, bare := b.Len(), len(file(t, tr))-digestBytes; got != bare+c.bytes {
			t.Errorf("%+v: %d bytes follow the nodes", c, got-bare)
		}
		got, err := ReadFile(bytes.NewReader(b.Bytes()), tr.LastZxid(), opts)
		if err != nil || got.Newest != c.newest {
			t.Errorf("%+v: newest %d, %v", c, got.Newest, err)
		}
	}
}
