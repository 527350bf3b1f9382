package outage

import (
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Outcome is what a loss of power makes of the pending changes: which of them the disk has made, and of the last of
// these, if it is a write at the end of its file, maybe only some bytes.
type Outcome struct {
	made []bool
	torn int
}

// Outcomes are ways in which power can be lost now: all subsets of the pending changes if there are few, otherwise none,
// all, and about so many as the sample says of: one alone, all but one, the first ones, the last of these torn, random.
func (d *Disk) Outcomes(r *rand.Rand, sample int) iter.Seq[Outcome] {
	n := len(d.pending)
	subset := func(made func(i int) bool) Outcome {
		o := Outcome{made: make([]bool, n)}
		for i := range o.made {
			o.made[i] = made(i)
		}
		return o
	}
	return func(yield func(Outcome) bool) {
		if n <= 4 && 1<<n <= max(sample, 2) {
			for bits := range 1 << n {
				if !yield(subset(func(i int) bool { return bits>>i&1 == 1 })) {
					return
				}
			}
			return
		}
		if !yield(subset(func(int) bool { return false })) || !yield(subset(func(int) bool { return true })) {
			return
		}
		for range (sample + 4) / 5 {
			k, dense := r.IntN(n), r.Float64()
			torn := subset(func(i int) bool { return i <= k })
			if size := len(d.pending[k].data); size > 1 {
				torn.torn = 1 + r.IntN(size-1)
			}
			if !yield(subset(func(i int) bool { return i == k })) || !yield(subset(func(i int) bool { return i != k })) ||
				!yield(subset(func(i int) bool { return i <= k })) || !yield(torn) ||
				!yield(subset(func(int) bool { return r.Float64() < dense })) {
				return
			}
		}
	}
}

// Left is what an outcome leaves on the disk. Its files are shared, and never changed.
type Left struct {
	// Sum tells what is left from everything else.
	Sum     uint64
	names   []string
	files   [][]byte
	ignored string
}

// After is what is left after a loss of power.
func (d *Disk) After(o Outcome) Left {
	names := maps.Clone(d.durable)
	contents := make(map[*file][]byte)
	for i, c := range d.pending {
		switch {
		case !o.made[i]:
		case c.name != "":
			c.rename(names)
		default:
			content, ok := contents[c.file]
			if !ok {
				content = slices.Clone(c.file.durable)
			}
			if o.torn > 0 && int64(len(content)) <= c.at && !slices.Contains(o.made[i+1:], true) {
				c.data = c.data[:min(o.torn, len(c.data))]
			}
			contents[c.file] = c.write(content)
		}
	}
	l := Left{ignored: d.Ignored}
	var sum maphash.Hash
	sum.SetSeed(seed)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := names[name]
		content, changed := contents[f]
		of := maphash.Bytes(seed, content)
		if !changed {
			content, of = f.durable, f.sum
		}
		sum.WriteString(name)
		maphash.WriteComparable(&sum, of)
		l.names, l.files = append(l.names, name), append(l.files, content)
	}
	l.Sum = sum.Sum64()
	return l
}

var seed = maphash.MakeSeed()

// Restart is the disk of a machine that starts with what is left.
func (l Left) Restart() (*Disk, error) {
	d := New()
	d.Ignored = l.ignored
	for i, name := range l.names {
		if err := d.Put(name, l.files[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// String lists the files.
func (l Left) String() string {
	var b strings.Builder
	for i, name := range l.names {
		fmt.Fprintf(&b, "%s %d bytes\n", name, len(l.files[i]))
	}
	return b.String()
}

// Pending lists the changes that are not durable, with those marked that an outcome makes.
func (d *Disk) Pending(o Outcome) string {
	var b strings.Builder
	for i, c := range d.pending {
		mark := "lost"
		if o.made[i] {
			mark = "made"
		}
		switch {
		case c.name != "" && c.file == nil:
			fmt.Fprintf(&b, "%s: remove %s\n", mark, c.name)
		case c.name != "":
			fmt.Fprintf(&b, "%s: name %s\n", mark, c.name)
		case c.data == nil:
			fmt.Fprintf(&b, "%s: size %d\n", mark, c.at)
		default:
			fmt.Fprintf(&b, "%s: %d bytes at %d\n", mark, len(c.data), c.at)
		}
	}
	if o.torn > 0 {
		fmt.Fprintf(&b, "torn after %d bytes\n", o.torn)
	}
	return b.String()
}
