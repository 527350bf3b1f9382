package client

import (
	"context"
	"io"
	"time"
)

// seekQuorum looks, while the session is with a server that has no quorum, for one that has. It returns true as soon as
// there is one, which is then the next to connect to. Which one that is, is only read after the goroutine has ended.
func (c *Client) seekQuorum(ctx context.Context) bool {
	at := c.at
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		at = (at + 1) % len(c.servers)
		if c.hasQuorum(ctx, c.servers[at]) {
			c.preferred = c.servers[at]
			return true
		}
	}
}

// hasQuorum asks a server with the four-letter word isro.
func (c *Client) hasQuorum(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.options.Dial(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := io.WriteString(conn, "isro"); err != nil {
		return false
	}
	answer := make([]byte, 2)
	_, err = io.ReadFull(conn, answer)
	return err == nil && string(answer) == "rw"
}
