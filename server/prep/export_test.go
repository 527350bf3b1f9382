package prep

// Valid checks what must hold of what is on its way.
func (p *Preparer) Valid() error { return p.overlay.valid() }
