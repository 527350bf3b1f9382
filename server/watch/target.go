package watch

// manyFrom is the size at which a list becomes a map: below it a walk over the list is as fast and far smaller.
const manyFrom = 32

// target is a watched path with its watchers: a list of slot and modes packed in four bytes, or a map once the
// list gets long.
type target struct {
	path string
	few  []uint32
	many map[slot]Mode
}

func pack(s slot, modes Mode) uint32       { return uint32(s)<<modeBits | uint32(modes) }
func unpack(p uint32) (s slot, modes Mode) { return slot(p >> modeBits), Mode(p) & All }

// modes returns the modes of a watcher, 0 if it has none here.
func (t *target) modes(s slot) Mode {
	if t.many != nil {
		return t.many[s]
	}
	for _, p := range t.few {
		if at, modes := unpack(p); at == s {
			return modes
		}
	}
	return 0
}

// set replaces the modes of a watcher; 0 removes it.
func (t *target) set(s slot, modes Mode) {
	if t.many != nil {
		if modes == 0 {
			delete(t.many, s)
		} else {
			t.many[s] = modes
		}
		return
	}
	for i, p := range t.few {
		if at, _ := unpack(p); at != s {
			continue
		}
		if modes == 0 {
			last := len(t.few) - 1
			t.few[i] = t.few[last]
			t.few = t.few[:last]
		} else {
			t.few[i] = pack(s, modes)
		}
		return
	}
	if modes == 0 {
		return
	}
	if len(t.few) < manyFrom {
		t.few = append(t.few, pack(s, modes))
		return
	}
	t.many = make(map[slot]Mode, 2*manyFrom)
	for _, p := range t.few {
		at, m := unpack(p)
		t.many[at] = m
	}
	t.many[s] = modes
	t.few = nil
}

// each calls f for every watcher, in no particular order. f must not change the target.
func (t *target) each(f func(slot, Mode)) {
	for s, modes := range t.many {
		f(s, modes)
	}
	for _, p := range t.few {
		f(unpack(p))
	}
}

func (t *target) empty() bool { return len(t.few) == 0 && len(t.many) == 0 }

// set is a set that is a list while it is small.
type set[T comparable] struct {
	few  []T
	many map[T]struct{}
}

func (s *set[T]) len() int { return len(s.few) + len(s.many) }

// add inserts x, which must not be in the set.
func (s *set[T]) add(x T) {
	if s.many == nil && len(s.few) < manyFrom {
		s.few = append(s.few, x)
		return
	}
	if s.many == nil {
		s.many = make(map[T]struct{}, 2*manyFrom)
		for _, y := range s.few {
			s.many[y] = struct{}{}
		}
		s.few = nil
	}
	s.many[x] = struct{}{}
}

func (s *set[T]) remove(x T) {
	if s.many != nil {
		delete(s.many, x)
		return
	}
	for i, y := range s.few {
		if y == x {
			last := len(s.few) - 1
			s.few[i] = s.few[last]
			var zero T
			s.few[last] = zero
			s.few = s.few[:last]
			return
		}
	}
}

// members returns a copy of the set in no particular order.
func (s *set[T]) members() []T {
	all := make([]T, 0, s.len())
	all = append(all, s.few...)
	for x := range s.many {
		all = append(all, x)
	}
	return all
}
