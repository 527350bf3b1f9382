package peer

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const (
	// maxIntroductions is how many connections to the quorum port may be about to send their first packet.
	maxIntroductions = 128
	// maxFirstPacketBytes is more than the first packet of a learner has, and little enough for whoever is none.
	maxFirstPacketBytes = 4 << 10
	bindRetry           = 200 * time.Millisecond
)

// port is the quorum port, which is open while this server leads, or the port for observers, which is open while it follows.
// Its goroutine makes what is so what is wanted.
type port struct {
	p    *Peer
	name string
	// own are the addresses at which this server has the port.
	own  func() []string
	wake chan struct{}

	mu     sync.Mutex
	wanted bool
	// doors are the listeners by address.
	doors map[string]net.Listener
	// introducing are connections whose first packet has not come.
	introducing map[net.Conn]struct{}
}

func newPort(p *Peer, name string, own func() []string) *port {
	return &port{
		p: p, name: name, own: own, wake: make(chan struct{}, 1), doors: make(map[string]net.Listener), introducing: make(map[net.Conn]struct{}),
	}
}

// OpenQuorumPort begins to accept learners. If the port cannot be bound it tries again until it is no longer wanted.
func (p *Peer) OpenQuorumPort() { p.port.want(true) }

// CloseQuorumPort ends to accept learners. Those who have introduced themselves stay.
func (p *Peer) CloseQuorumPort() { p.port.want(false) }

// OpenObserverPort and CloseObserverPort do the same for the port for observers.
func (p *Peer) OpenObserverPort()  { p.observerPort.want(true) }
func (p *Peer) CloseObserverPort() { p.observerPort.want(false) }

// observerAddresses are where a server has its port for observers, given its addresses for the quorum.
func (p *Peer) observerAddresses(quorumAddresses []string) []string {
	var list []string
	for _, address := range quorumAddresses {
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = net.JoinHostPort(host, strconv.Itoa(p.cfg.ObserverPort))
		}
		if !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

func (o *port) want(open bool) {
	o.mu.Lock()
	o.wanted = open
	o.mu.Unlock()
	o.notify()
}

func (o *port) notify() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *port) run() {
	retry := time.NewTimer(0)
	defer retry.Stop()
	complained := false
	for o.p.ctx.Err() == nil {
		missing := o.settle()
		var failed []error
		for _, address := range missing {
			if err := o.bind(address); err != nil {
				failed = append(failed, err)
			}
		}
		if err := errors.Join(failed...); err != nil {
			if !complained && o.p.ctx.Err() == nil {
				o.p.log.Error(o.name+" port cannot be opened yet", "error", err)
			}
			retry.Reset(bindRetry)
		}
		complained = len(failed) > 0
		select {
		case <-o.wake:
		case <-retry.C:
		case <-o.p.ctx.Done():
		}
	}
}

// settle closes what is open and not wanted, and returns the addresses that are wanted and not open.
func (o *port) settle() (missing []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var addresses []string
	if o.wanted {
		addresses = o.p.listenAddresses(o.own())
	}
	for address, ln := range o.doors {
		if !slices.Contains(addresses, address) {
			o.p.close(ln)
			delete(o.doors, address)
			o.p.log.Info(o.name+" port is closed", "address", ln.Addr().String())
		}
	}
	if len(o.doors) == 0 {
		for sock := range o.introducing {
			o.p.close(sock)
		}
	}
	for _, address := range addresses {
		if o.doors[address] == nil {
			missing = append(missing, address)
		}
	}
	return missing
}

func (o *port) bind(address string) error {
	var config net.ListenConfig
	ln, err := config.Listen(o.p.ctx, "tcp", address)
	if err != nil {
		return bindError(o.name, address, err)
	}
	if !o.p.track(ln) {
		return net.ErrClosed
	}
	o.mu.Lock()
	o.doors[address] = ln
	o.mu.Unlock()
	o.p.log.Info(o.name+" port is open", "address", ln.Addr().String())
	o.p.spawn(func() {
		err := accept(o.p, ln, o.take)
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.doors[address] == ln { // nobody has closed it
			o.p.log.Error(o.name+" port has closed", "error", err)
			o.p.close(ln)
			delete(o.doors, address)
			o.notify()
		}
	})
	return nil
}

// take waits for the first packet of an accepted connection. The node learns of it only then, so that whoever connects
// without being a learner costs nothing.
func (o *port) take(sock net.Conn) {
	o.mu.Lock()
	full := len(o.introducing) >= maxIntroductions
	if !full {
		o.introducing[sock] = struct{}{}
	}
	o.mu.Unlock()
	if full {
		o.p.often.Warn("too many connections wait on a port for learners", "port", o.name, "remote", remote(sock))
		o.p.close(sock)
		return
	}
	if !o.p.spawn(func() { o.introduce(sock) }) {
		o.p.close(sock)
	}
}

func (o *port) introduce(accepted net.Conn) {
	sock, ok := o.p.accepted(accepted, time.Now().Add(o.p.cfg.initLimit()))
	var packet wire.QuorumPacket
	var in io.Reader
	var err error
	if ok {
		packet, in, err = o.firstPacket(sock)
	}
	o.mu.Lock()
	delete(o.introducing, accepted)
	o.mu.Unlock()
	if !ok {
		return
	}
	if err != nil {
		o.p.refused(o.name, sock, err)
		o.p.close(sock)
		return
	}
	if o.p.cfg.LeaderDelay {
		collectPackets(sock)
	}
	c := newConn(o.p, node.ConnID(2*o.p.lastAccepted.Add(1)))
	c.learner = newLearner(packet, o.p.cfg.Metrics)
	c.start(sock)
	if !o.p.register(c) {
		o.p.close(sock)
		return
	}
	o.p.often.Info("learner has connected", "conn", uint64(c.id), "remote", c.remote)
	o.p.packetsRead.Add(1)
	c.serve(bufio.NewReaderSize(in, readBytes), []node.Input{
		node.LearnerAccepted{Conn: c.id, Remote: c.remote},
		node.PacketReceived{Conn: c.id, Packet: packet},
	})
}

// firstPacket lets a server authenticate itself and reads its first packet. The rest is to be read from in.
func (o *port) firstPacket(sock net.Conn) (packet wire.QuorumPacket, in io.Reader, err error) {
	if err := sock.SetDeadline(time.Now().Add(o.p.cfg.initLimit())); err != nil {
		return packet, nil, err
	}
	if in, err = o.p.cfg.SASL.admit(sock); err != nil {
		return packet, nil, err
	}
	small := bufio.NewReaderSize(in, 512)
	if packet, err = wire.ReadQuorumPacket(small, maxFirstPacketBytes); err != nil {
		return packet, nil, err
	}
	return packet, small, sock.SetDeadline(time.Time{})
}
