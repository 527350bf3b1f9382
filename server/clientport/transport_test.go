package clientport

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// certificate makes a certificate that is its own authority.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secured lets a stand have a secure port as well.
func secured(t testing.TB, change func(*Config)) *stand {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t, "server")}, ClientAuth: tls.RequestClientCert}
	return newStand(t, func(c *Config) {
		c.SecureAddress = "127.0.0.1:0"
		c.Handshake = func(under net.Conn) (*tls.Conn, error) {
			secured := tls.Server(under, cfg)
			return secured, secured.Handshake()
		}
		if change != nil {
			change(c)
		}
	})
}

// secure lets a client speak TLS from here on.
func (p *peer) secure(certificates ...tls.Certificate) *peer {
	p.t.Helper()
	secured := tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true, Certificates: certificates})
	if err := secured.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	return &peer{secured, p.t, bufio.NewReader(secured)}
}

func (s *stand) dialSecure() *peer {
	s.t.Helper()
	return s.dialTo(s.SecureAddress())
}

// session opens a session and exchanges requests that pass the loop and such that do not, small and large ones.
func (p *peer) session() {
	p.t.Helper()
	p.send(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil))
	p.frame()
	large := strings.Repeat("0123456789", 10_000)
	var all []byte
	for i, text := range []string{"a", large, "b", large, "c"} {
		all = append(all, framed(request(i, opEcho, text))...)
		all = append(all, framed(request(i, wire.OpSync, text))...)
	}
	go p.Write(all)
	for i, text := range []string{"a", large, "b", large, "c"} {
		for range 2 {
			if got := p.frame(); !bytes.Equal(got, echo(wire.RequestHeader{Xid: int32(i)}, []byte(text))) {
				p.t.Fatalf("answer %d is %.40q of %d bytes", i, got, len(got))
			}
		}
	}
}

func TestSecurePort(t *testing.T) {
	connected := make(chan node.ClientConnected, 8)
	s := secured(t, func(c *Config) {
		deliver := c.Deliver
		c.Deliver = func(inputs []node.Input) {
			for _, in := range inputs {
				if in, ok := in.(node.ClientConnected); ok {
					connected <- in
				}
			}
			deliver(inputs)
		}
	})
	s.dialSecure().secure().session()
	if in := <-connected; !in.Secure || len(in.Certificates) != 0 {
		t.Errorf("the node hears %+v", in)
	}
	s.dialSecure().secure(certificate(t, "client")).session()
	if in := <-connected; !in.Secure || len(in.Certificates) != 1 || in.Certificates[0].Subject.CommonName != "client" {
		t.Errorf("the node hears %+v", in)
	}
	s.dial().session()
	if in := <-connected; in.Secure || in.Certificates != nil {
		t.Errorf("of a plain client the node hears %+v", in)
	}
	list := s.Connections()
	if len(list) != 3 || !list[0].Secure || !list[1].Secure || list[2].Secure {
		t.Errorf("connections are %+v", list)
	}
}

func TestWordsOverTLS(t *testing.T) {
	s := secured(t, nil)
	p := s.dialSecure().secure()
	io.WriteString(p, "ruok")
	if got, err := io.ReadAll(p); string(got) != "ruok!" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A session that the server ends is ended as TLS wants it: nobody can cut off the last reply unnoticed.
func TestSecureHangUp(t *testing.T) {
	s := secured(t, nil)
	p := s.dialSecure().secure()
	p.session()
	p.send(request(9, wire.OpCloseSession, ""))
	p.frame()
	if _, err := p.in.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
}

func TestUnifiedPort(t *testing.T) {
	s := secured(t, func(c *Config) { c.Unified = true })
	s.dial().session()
	s.dial().secure().session()
	s.dialSecure().secure().session()
	p := s.dial()
	io.WriteString(p, "ruok")
	if got, _ := io.ReadAll(p); string(got) != "ruok!" {
		t.Errorf("got %q", got)
	}
	p = s.dialSecure() // this one takes TLS only
	io.WriteString(p, "ruok\n")
	if got, _ := io.ReadAll(p); strings.Contains(string(got), "imok") {
		t.Error("the secure port has answered a plain client")
	}
}

// Handshakes that do not go on or are none cost nobody else anything.
func TestBadHandshakes(t *testing.T) {
	s := secured(t, func(c *Config) { c.Unified = true })
	for range 20 {
		s.dialSecure()
		s.dial().Write([]byte{0x16})
	}
	waitFor(t, "open handshakes", func() bool { return s.Traffic().Handshakes == 40 })
	hello := append([]byte{0x16, 3, 1, 0xff, 0xff}, bytes.Repeat([]byte{0xfe}, 1<<16)...)
	for _, garbage := range [][]byte{hello, []byte("GET / HTTP/1.0\r\n\r\n"), make([]byte, 100)} {
		p := s.dialSecure()
		p.Write(garbage)
		if _, err := io.Copy(io.Discard, p); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.20q: %v", garbage, err)
		}
	}
	waitFor(t, "failed handshakes", func() bool {
		got := s.Traffic()
		return s.cfg.Metrics.UnsuccessfulHandshake.Value() == 3 && got.AuthFailed == 3
	})
	s.dialSecure().secure().session()
	s.dial().session()
}

func TestHandshakeLimit(t *testing.T) {
	s := secured(t, func(c *Config) { c.HandshakeLimit = 2 })
	s.dialSecure().secure().session()
	waiting := s.dialSecure()
	s.dialSecure()
	waitFor(t, "open handshakes", func() bool { return s.Traffic().Handshakes == 2 })
	p := s.dialSecure()
	if _, err := p.in.ReadByte(); err == nil {
		t.Error("one too many was not closed")
	}
	if got := s.cfg.Metrics.TLSHandshakeExceeded.Value(); got != 1 {
		t.Errorf("%d were one too many", got)
	}
	waiting.secure().session()
	s.dialSecure().secure().session()
}

func TestDropEarly(t *testing.T) {
	var serving atomic.Bool
	s := secured(t, func(c *Config) { c.DropEarly, c.Serving = true, serving.Load })
	p := s.dialSecure()
	if _, err := p.in.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
	serving.Store(true)
	s.dialSecure().secure().session()
}

// The limit on connections of one address is one for each port.
func TestMaxPerAddressOfEachPort(t *testing.T) {
	s := secured(t, func(c *Config) { c.MaxPerAddress = 1 })
	s.dial().session()
	s.dialSecure().secure().session()
	for _, p := range []*peer{s.dial(), s.dialSecure()} {
		if _, err := p.in.ReadByte(); err == nil {
			t.Error("a second connection was taken")
		}
	}
}

// A client that does not read its watch events is cut off without waiting for it.
func TestSecureClientThatDoesNotRead(t *testing.T) {
	s := secured(t, nil)
	p := s.dialSecure().secure()
	p.session()
	event := append(wire.ReplyHeader{Xid: wire.XidWatch}.Append(nil), make([]byte, 1<<20)...)
	c := s.find(node.ClientID(s.Connections()[0].ID))
	began := time.Now()
	for range 2 * tooMuchBytes >> 20 {
		if c.queueAnswer(event) {
			go c.write()
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("sending took %v", took)
	}
	waitFor(t, "the end", func() bool { return len(s.Connections()) == 0 })
}

func BenchmarkReadTLS(b *testing.B) {
	s := secured(b, nil)
	p := s.dialSecure().secure()
	p.send(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil))
	p.frame()
	frame := framed(request(1, opEcho, "0123456789"))
	b.ResetTimer()
	go func() {
		for range b.N {
			p.Write(frame)
		}
	}()
	for range b.N {
		p.frame()
	}
}
