package toolkit

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/server/secure"
	"github.com/zkctl/zkctl/test/authority"
)

// answering listens and answers each word with itself in brackets.
func answering(t *testing.T, listener net.Listener) (host, port string) {
	t.Helper()
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			word := make([]byte, 4)
			if _, err := io.ReadFull(conn, word); err == nil {
				io.WriteString(conn, "<"+string(word)+">")
			}
			conn.Close()
		}
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestFourLetterWord(t *testing.T) {
	host, port := answering(t, listen(t))
	for _, args := range [][]string{{host, port, "srvr"}, {host, port, "srvr", "false"}} {
		if code, stdout, stderr := run(t, ".", "", "four-letter-word", args...); code != 0 || stdout != "<srvr>\n" {
			t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
		}
	}
	if code, stdout, _ := run(t, ".", "", "four-letter-word", host); code != 0 || !strings.HasPrefix(stdout, "Usage: FourLetterWordMain") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
	closed := listen(t)
	closed.Close()
	_, port, _ = net.SplitHostPort(closed.Addr().String())
	if code, stdout, stderr := run(t, ".", "", "four-letter-word", host, port, "srvr"); code != 1 || stdout != "" || stderr == "" {
		t.Errorf("nobody listens: exit code %d, %q, %s", code, stdout, stderr)
	}
}

// With TLS the stores are those that the environment names.
func TestFourLetterWordOverTLS(t *testing.T) {
	dir := t.TempDir()
	good := authority.New(t, "good")
	own := good.Issue(t, authority.Wish{Hosts: []string{"127.0.0.1"}})
	key := authority.Write(t, dir, "key.pem", own.PEM(t))
	trust := authority.Write(t, dir, "trust.pem", good.PEM())
	other := authority.Write(t, dir, "other.pem", authority.New(t, "other").PEM())
	settings := secure.Defaults(false)
	settings.KeyStore = secure.Store{Location: key, Type: keystore.PEM}
	settings.TrustStore = secure.Store{Location: trust, Type: keystore.PEM}
	server, err := secure.New(settings, discard)
	if err != nil {
		t.Fatal(err)
	}
	host, port := answering(t, tls.NewListener(listen(t), server.ServerConfig()))
	for flags, want := range map[string]int{
		"-Dzookeeper.ssl.keyStore.location=" + key + " -Dzookeeper.ssl.trustStore.location=" + trust: 0,
		"-Dzookeeper.ssl.keyStore.location=" + key + " -Dzookeeper.ssl.trustStore.location=" + other: 1,
		"-Dzookeeper.ssl.trustStore.location=" + trust:                                               1, // the server wants a certificate
	} {
		t.Setenv("CLIENT_JVMFLAGS", flags)
		code, stdout, stderr := run(t, ".", "", "four-letter-word", host, port, "srvr", "true")
		if code != want || (stdout == "<srvr>\n") != (want == 0) {
			t.Errorf("%s: exit code %d, %q, %s", flags, code, stdout, stderr)
		}
	}
}

// What comes over TLS is readable in a file, too, into which the system would copy a socket by itself.
func TestFourLetterWordIntoAFile(t *testing.T) {
	dir := t.TempDir()
	good := authority.New(t, "good")
	settings := secure.Defaults(false)
	settings.KeyStore = secure.Store{Location: authority.Write(t, dir, "key.pem", good.Named(t, "server").PEM(t)), Type: keystore.PEM}
	settings.TrustStore = secure.Store{Location: authority.Write(t, dir, "trust.pem", good.PEM()), Type: keystore.PEM}
	server, err := secure.New(settings, discard)
	if err != nil {
		t.Fatal(err)
	}
	host, port := answering(t, tls.NewListener(listen(t), server.ServerConfig()))
	t.Setenv("CLIENT_JVMFLAGS", "-Dzookeeper.ssl.keyStore.location="+settings.KeyStore.Location+" -Dzookeeper.ssl.trustStore.location="+settings.TrustStore.Location)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	code := fourLetterWord([]string{host, port, "srvr", "true"}, IO{Out: w, Err: io.Discard})
	w.Close()
	if said, err := io.ReadAll(r); code != 0 || string(said) != "<srvr>\n" {
		t.Errorf("exit code %d, %q, %v", code, said, err)
	}
}

var discard = slog.New(slog.DiscardHandler)
