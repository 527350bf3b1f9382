package client

import (
	"context"

	"github.com/zkctl/zkctl/wire"
)

// request is one on its way.
type request struct {
	op   wire.OpCode
	body []byte
	path string // of the client, for errors
	// settle keeps or drops watches as the outcome demands, and may change the outcome. It runs with mu held, before any
	// later event, and returns the events that follow from it.
	settle func(*Client, wire.ErrCode) (wire.ErrCode, []Event)

	xid   int32
	code  wire.ErrCode
	reply []byte
	done  chan struct{}
}

// do sends a request and waits for the reply. If ctx ends first the request may still be carried out.
func (c *Client) do(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	c.mu.Lock()
	if !c.state.Alive() || c.closing {
		code := c.gone()
		c.mu.Unlock()
		return &Error{code, r.path}
	}
	c.closing = r.op == wire.OpCloseSession
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	c.rouse()
	select {
	case <-r.done:
		if r.code != wire.ErrOK {
			return &Error{r.code, r.path}
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get sends a request and decodes its reply.
func (c *Client) get(ctx context.Context, r *request, decode func(*wire.Decoder)) error {
	if err := c.do(ctx, r); err != nil {
		return err
	}
	d := wire.NewDecoder(r.reply)
	decode(d)
	if d.Err() != nil {
		return &Error{wire.ErrMarshalling, r.path}
	}
	return nil
}

// rouse tells the writer that there is something to do.
func (c *Client) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// finish settles a request. Only the goroutine that connects calls it.
func (c *Client) finish(r *request, code wire.ErrCode, reply []byte) {
	r.code, r.reply = code, reply
	if r.settle != nil {
		c.mu.Lock()
		settled, events := r.settle(c, code)
		c.mu.Unlock()
		r.code = settled
		for _, e := range events {
			c.tell(e)
		}
	}
	close(r.done)
}
