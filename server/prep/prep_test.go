package prep_test

import (
	"fmt"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// digestOf compares the digest that the next transaction would carry with that of the tree, which has everything.
func digestOf(p *prep.Preparer, t *tree.Tree) error {
	e := p.Prepare(prep.Request{Session: 1 << 40, Type: wire.OpCloseSession}, t.LastZxid()+1, 0)
	if e.Digest.Tree != t.Digest() {
		return fmt.Errorf("prepared with digest %#x, the tree has %#x", e.Digest.Tree, t.Digest())
	}
	return nil
}
