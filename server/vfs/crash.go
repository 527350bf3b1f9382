package vfs

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// sectorBytes is what a disk writes as a whole or not at all.
const sectorBytes = 512

// inode is the content of a file.
type inode struct {
	data   []byte
	synced []byte
	clean  int  // data and synced are equal up to here
	lost   bool // a sync failed
}

func (n *inode) touch(from int64) { n.clean = min(n.clean, int(from)) }

func (n *inode) write(b []byte, at int64) {
	n.touch(min(at, int64(len(n.data))))
	if end := at + int64(len(b)); end > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	copy(n.data[at:], b)
}

func (n *inode) resize(sizeBytes int64) {
	n.touch(min(sizeBytes, int64(len(n.data))))
	if grow := sizeBytes - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	} else {
		n.data = n.data[:sizeBytes]
	}
}

func (n *inode) sync() {
	if n.lost {
		return
	}
	n.synced = append(n.synced[:n.clean], n.data[n.clean:]...)
	n.clean = len(n.data)
}

// Kill ends the process: open files cannot be used any more. What was written stays, and can still be lost with the power.
func (m *Mem) Kill() {
	m.life++
	m.open = 0
}

// Rot changes a byte of a file, on the disk too, without anybody having written. It returns what repairs it, nil if the file
// has no such byte.
func (m *Mem) Rot(name string, at int, mask byte) (repair func()) {
	n := m.names[path.Clean(name)]
	if n == nil || at >= len(n.data) || at >= len(n.synced) {
		return nil
	}
	repair = func() {
		for _, b := range [][]byte{n.data, n.synced} {
			if at < len(b) {
				b[at] ^= mask
			}
		}
	}
	repair()
	return repair
}

// Losses counts what happened at losses of power to files that had been written to and not synced.
type Losses struct {
	// Lost files are as they were synced, Kept ones as they were written, Torn ones neither.
	Lost, Kept, Torn int
}

// Crash loses what was not synced, but for parts of it that r chooses: some of the names, and of each file everything,
// nothing, a beginning, or some sectors of what was written since the last sync. Open files cannot be used any more.
func (m *Mem) Crash(r *rand.Rand) {
	m.Kill()
	after := maps.Clone(m.synced)
	all := make(map[string]bool)
	for name := range m.names {
		all[name] = true
	}
	for name := range m.synced {
		all[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m.names[name] != m.synced[name] && r.IntN(2) == 0 {
			if n := m.names[name]; n != nil {
				after[name] = n
			} else {
				delete(after, name)
			}
		}
	}
	done := make(map[*inode]bool)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if n := after[name]; !done[n] {
			done[n] = true
			n.crash(r, &m.Losses)
		}
	}
	m.names = after
	m.synced = maps.Clone(after)
}

func (n *inode) crash(r *rand.Rand, losses *Losses) {
	kept := n.synced
	if n.clean < len(n.data) || n.clean < len(n.synced) {
		switch r.IntN(4) {
		case 0:
			losses.Lost++
		case 1:
			losses.Kept++
			kept = n.data
		case 2:
			losses.Torn++
			if n.clean == len(n.synced) { // only grown
				kept = n.data[:n.clean+r.IntN(len(n.data)-n.clean+1)]
			}
		case 3:
			losses.Torn++
			kept = n.tear(r)
		}
	}
	*n = inode{data: slices.Clone(kept), synced: slices.Clone(kept), clean: len(kept)}
}

// tear is what the file holds if the disk wrote only some sectors, in no particular order.
func (n *inode) tear(r *rand.Rand) []byte {
	size := []int{len(n.synced), len(n.data), min(len(n.data), len(n.synced)) + r.IntN(abs(len(n.data)-len(n.synced))+1)}[r.IntN(3)]
	b := make([]byte, size)
	copy(b, n.synced)
	for from := n.clean / sectorBytes * sectorBytes; from < min(size, len(n.data)); from += sectorBytes {
		if r.IntN(2) == 0 {
			copy(b[from:min(from+sectorBytes, size)], n.data[from:])
		}
	}
	return b
}

func abs(n int) int { return max(n, -n) }
