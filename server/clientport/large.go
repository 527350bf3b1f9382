package clientport

import (
	"errors"
	"math"
	"sync/atomic"

	"github.com/zkctl/zkctl/server/metrics"
)

// errLargeRequest is the reason for closing a connection whose request is too much with the others.
var errLargeRequest = errors.New("too many bytes of large requests (largeRequestMaxBytes)")

// largeRequests bounds the bytes of large requests in process (ZooKeeperServer.checkRequestSizeWhenReceivingMessage and
// checkRequestSizeWhenMessageReceived). It is safe for concurrent use.
type largeRequests struct {
	threshold int
	max       int64
	bytes     atomic.Int64
	rejected  *metrics.Counter
}

// set takes the threshold above which a request is large, not positive for none, and what all of them may have.
func (l *largeRequests) set(threshold, max int, rejected *metrics.Counter) {
	l.threshold, l.max, l.rejected = threshold, int64(max), rejected
	if threshold <= 0 {
		l.threshold = math.MaxInt
	}
}

// announced looks at the length of a frame that a client is going to send.
func (l *largeRequests) announced(length int) error {
	if length > l.threshold && l.bytes.Load()+int64(length) > l.max {
		l.rejected.Add(1)
		return errLargeRequest
	}
	return nil
}

// take counts a request that goes to the node, until its bytes are given back. bytes is 0 for one that is not large.
func (l *largeRequests) take(length int) (bytes int, err error) {
	if length <= l.threshold {
		return 0, nil
	}
	if l.bytes.Add(int64(length)) > l.max {
		l.bytes.Add(-int64(length))
		l.rejected.Add(1)
		return 0, errLargeRequest
	}
	return length, nil
}

func (l *largeRequests) giveBack(bytes int) {
	if bytes > 0 {
		l.bytes.Add(-int64(bytes))
	}
}
