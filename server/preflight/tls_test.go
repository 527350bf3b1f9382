package preflight

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"testing"

	"github.com/zkctl/zkctl/test/authority"
)

// A server says which certificate it has and whose it wants to see, whether it lets us in or not.
func TestProbeTLS(t *testing.T) {
	good := authority.New(t, "good")
	own := good.Named(t, "server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := &tls.Config{Certificates: []tls.Certificate{own.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: good.Pool()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = tls.Server(conn, cfg).Handshake() // refused at the end
			}()
		}
	}()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	program, _ := Find("probe-tls")
	var out, errs bytes.Buffer
	if code := program([]string{l.Addr().String(), dead.Addr().String()}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	sum := sha256.Sum256(own.Certificate.Raw)
	want := fmt.Sprintf("tls.shown\t=%s %s\ntls.asks\t=%[1]s %[3]s\ntls.failed\t=%[4]s ", l.Addr(), hex.EncodeToString(sum[:]),
		hex.EncodeToString(good.Certificate.RawSubject), dead.Addr())
	if !bytes.HasPrefix(out.Bytes(), []byte(want)) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
