// Package node is one server as a value: votes, discovery, synchronisation, broadcast, sessions, watches and the tree,
// without goroutines, clock, files or sockets. See the inputs and effects.
package node

import "github.com/zkctl/zkctl/wire"

// Node is one server.
type Node struct{}

// New returns a server with what its disk holds. It does nothing before the first Step.
func New(cfg Config, db *Database) (*Node, error) { return nil, nil }

// Step takes an input. Times never go back. Effects collects what must be done about it.
func (n *Node) Step(now Now, in Input) {}

// Effects appends to into what must be done about the inputs since the last call, in order, and forgets it.
func (n *Node) Effects(into []Effect) []Effect { return into }

// Read answers a request that needs nothing but the tree, and registers its watch. It must not run at the same time as
// Step, but any number of Reads may. ok is false if the request has to go through Step: it is none of those, the client
// has no session here or something of it is in flight. Malformed requests go through Step too.
func (n *Node) Read(client ClientID, header wire.RequestHeader, body []byte) (frame []byte, ok bool) {
	return nil, false
}

// Stop ends the server: clients and connections are closed; the last RoleChanged, to Stopped, comes when all is durable.
func (n *Node) Stop(now Now) {}

// Status describes the server as it is.
func (n *Node) Status() Status { return Status{} }
