package clientport

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// reopenAfter is how long a port that cannot be opened is left alone.
const reopenAfter = time.Second

// Move opens the port for plain connections at another address; connections stay. It does not wait: as long as the new
// address cannot be opened there is no port, and a line in the log.
func (p *Port) Move(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sameAddress(address, p.wanted) || p.stopped {
		return
	}
	p.wanted = address
	if p.plain != nil {
		p.plain.Close() // before the new one is opened: the two may overlap
		p.plain = nil
	}
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// servePlain serves the port for plain connections wherever it is.
func (p *Port) servePlain(ctx context.Context, group *sync.WaitGroup) {
	retry := time.NewTimer(reopenAfter)
	defer retry.Stop()
	for ctx.Err() == nil {
		p.mu.Lock()
		listener, address := p.plain, p.wanted
		p.mu.Unlock()
		if listener != nil {
			p.accept(ctx, listener, group)
			continue
		}
		if address != "" && p.reopen(address) {
			continue
		}
		retry.Reset(reopenAfter)
		select {
		case <-ctx.Done():
		case <-p.moved:
		case <-retry.C:
		}
	}
}

// reopen opens the port at a new address, unless it has another one by now.
func (p *Port) reopen(address string) bool {
	listener, err := listen(address, "client port", p.cfg.Backlog)
	if err != nil {
		p.often.Warn("client port cannot be opened", "address", address, "error", err)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.wanted != address {
		listener.Close()
		return true
	}
	p.plain = listener
	p.cfg.Log.Info("client port has moved", "address", listener.Addr().String())
	return true
}

// sameAddress tells whether two addresses mean the same port; no host and the wildcards are one.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && (hostA == hostB || isWildcard(hostA) && isWildcard(hostB))
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
