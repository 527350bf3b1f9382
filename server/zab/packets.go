package zab

import (
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Request is a client's request on its way from a learner to the leader.
type Request struct {
	Session wire.SessionID
	Cxid    int32
	Op      wire.OpCode
	// Body is the request record as the client sent it.
	Body []byte
	// Auth are the ids of the client's connection.
	Auth []wire.ID
}

// Touch is a sign of life of a session.
type Touch struct {
	Session wire.SessionID
	Timeout time.Duration
}
