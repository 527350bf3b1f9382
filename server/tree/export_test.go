package tree

// Valid checks the invariants of a tree.
func (t *Tree) Valid() error { return t.valid() }
