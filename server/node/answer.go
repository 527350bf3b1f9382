package node

import "github.com/zkctl/zkctl/wire"

// answer answers a request that needs no txn.
func (n *Node) answer(c *client, header wire.RequestHeader, body []byte) (frame []byte, closes bool) {
	frame, err := n.final.Read(nil, header, body)
	return frame, err != nil
}
