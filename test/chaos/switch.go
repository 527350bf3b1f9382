package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Switch is an Ethernet switch in user space. Port 0 is this program's own network namespace, where the clients are; ports
// 1 to n are namespaces of their own. A frame from one port to another passes a link, which may be cut, slow or lossy; the
// way back is another link.
type Switch struct {
	network string // the first three bytes of every address
	ports   []*port

	mu    sync.RWMutex
	links map[[2]int]Link // what is not plain

	receiving, releasing sync.WaitGroup
}

// Link is what happens to frames from one port to another.
type Link struct {
	Cut           bool
	Delay, Jitter time.Duration // of each frame: Delay and up to Jitter; frames stay in their order
	Loss          float64       // the share of frames that vanish
}

type port struct {
	index     int
	namespace string // "" for port 0
	tap       string
	file      *os.File
	queues    []chan delayed // by the port that a frame came from
}

type delayed struct {
	frame []byte
	due   time.Time
}

// queueFrames is how many frames a slow link holds; more are lost, as in any switch.
const queueFrames = 2000

// NewSwitch makes n namespaces and connects them.
func NewSwitch(n int) (*Switch, error) {
	s := &Switch{links: make(map[[2]int]Link)}
	network, err := freeNetwork()
	if err != nil {
		return nil, err
	}
	s.network = network
	for i := range n + 1 {
		if err := s.plug(i); err != nil {
			s.Close()
			return nil, err
		}
	}
	for _, p := range s.ports {
		for range s.ports {
			p.queues = append(p.queues, make(chan delayed, queueFrames))
		}
	}
	for _, p := range s.ports {
		s.receiving.Go(func() { s.receive(p) })
		for _, queue := range p.queues {
			s.releasing.Go(func() { p.release(queue) })
		}
	}
	return s, nil
}

// freeNetwork chooses a network that no other run on this machine uses.
func freeNetwork() (string, error) {
	taken, err := output("ip", "-4", "-o", "addr")
	if err != nil {
		return "", err
	}
	for range 100 {
		network := fmt.Sprintf("10.91.%d", rand.IntN(250))
		if !strings.Contains(taken, network+".") {
			return network, nil
		}
	}
	return "", fmt.Errorf("no free network in 10.91.0.0/16: runs that were killed may have left interfaces named zkc*")
}

// plug makes port i: a TAP device, in a namespace unless i is 0.
func (s *Switch) plug(i int) error {
	p := &port{index: i, tap: fmt.Sprintf("zkc%d-%d", os.Getpid(), i)}
	file, err := openTap(p.tap)
	if err != nil {
		return err
	}
	p.file = file
	s.ports = append(s.ports, p)
	var in []string
	if i > 0 {
		namespace := fmt.Sprintf("zkchaos-%d-%d", os.Getpid(), i)
		if err := run("ip", "netns", "add", namespace); err != nil {
			return err
		}
		p.namespace = namespace
		in = []string{"-n", namespace}
		if err := run("ip", "link", "set", p.tap, "netns", namespace); err != nil {
			return err
		}
		if err := run("ip", "-n", namespace, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", p.tap, "address", fmt.Sprintf("02:00:00:00:00:%02x", i), "mtu", "9000"},
		{"addr", "add", s.Addr(i) + "/24", "dev", p.tap},
		{"link", "set", p.tap, "up"},
	} {
		if err := run("ip", append(in, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// Addr is the address at port i.
func (s *Switch) Addr(i int) string {
	if i == 0 {
		return s.network + ".100"
	}
	return fmt.Sprintf("%s.%d", s.network, i)
}

// Enter are the words that run a command in the namespace at port i. Unlike ip netns exec, nsenter leaves the mounts
// alone: a copy of them would keep a disk in use after it was unmounted.
func (s *Switch) Enter(i int) []string {
	return []string{"nsenter", "--net=/run/netns/" + s.ports[i].namespace}
}

// Set changes the link from one port to another.
func (s *Switch) Set(from, to int, change func(*Link)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link := s.links[[2]int{from, to}]
	change(&link)
	s.links[[2]int{from, to}] = link
}

// Heal makes all links plain.
func (s *Switch) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
}

// Close removes the namespaces. What runs in them must have ended.
func (s *Switch) Close() error {
	var failed error
	for _, p := range s.ports {
		p.file.Close()
	}
	s.receiving.Wait()
	for _, p := range s.ports {
		for _, queue := range p.queues {
			close(queue)
		}
	}
	s.releasing.Wait()
	for _, p := range s.ports {
		if p.namespace == "" {
			continue
		}
		if err := run("ip", "netns", "del", p.namespace); err != nil {
			failed = err
		}
	}
	return failed
}

// receive takes what the kernel sends at a port, until Close.
func (s *Switch) receive(p *port) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := p.file.Read(buffer)
		if err != nil {
			return // the file was closed; a TAP has no other errors once it is up
		}
		if n < 14 {
			continue
		}
		frame := buffer[:n]
		to := int(frame[5])
		switch {
		case frame[0]&1 == 1: // to all
			for _, other := range s.ports {
				if other != p {
					s.forward(p, other, frame)
				}
			}
		case to < len(s.ports) && to != p.index:
			s.forward(p, s.ports[to], frame)
		}
	}
}

func (s *Switch) forward(from, to *port, frame []byte) {
	s.mu.RLock()
	link := s.links[[2]int{from.index, to.index}]
	s.mu.RUnlock()
	if link.Cut || link.Loss > 0 && rand.Float64() < link.Loss {
		return
	}
	queue := to.queues[from.index]
	if link.Delay == 0 && len(queue) == 0 {
		_, _ = to.file.Write(frame) // a device that is full or going loses frames
		return
	}
	due := time.Now().Add(link.Delay)
	if link.Jitter > 0 {
		due = due.Add(rand.N(link.Jitter))
	}
	select {
	case queue <- delayed{append([]byte(nil), frame...), due}:
	default:
	}
}

// release lets the frames of a slow link go in their time.
func (p *port) release(queue chan delayed) {
	for d := range queue {
		time.Sleep(time.Until(d.due))
		_, _ = p.file.Write(d.frame)
	}
}

// openTap makes a TAP device that lasts as long as the file is open (Documentation/networking/tuntap.rst).
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	var request struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = unix.IFF_TAP | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		unix.Close(fd)
		return nil, fmt.Errorf("make the TAP device %s: %w", name, errno)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func run(name string, args ...string) error {
	_, err := output(name, args...)
	return err
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
