package toolkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/secure"
)

// wordTimeout bounds a four-letter word, connecting included.
const wordTimeout = 10 * time.Second

// fourLetterWord is org.apache.zookeeper.client.FourLetterWordMain. The stores for TLS are those that CLIENT_JVMFLAGS and
// JVMFLAGS name.
func fourLetterWord(args []string, o IO) int {
	if len(args) != 3 && len(args) != 4 {
		fmt.Fprintln(o.Out, "Usage: FourLetterWordMain <host> <port> <cmd> <secure(optional)>")
		return exitOK
	}
	host, port, word := args[0], args[1], args[2]
	ctx, cancel := context.WithTimeout(context.Background(), wordTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return o.end(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	if err == nil && len(args) == 4 && strings.EqualFold(args[3], "true") {
		conn, err = secured(ctx, conn.(*net.TCPConn), host)
	}
	if err == nil {
		_, err = io.WriteString(conn, word)
	}
	if err != nil {
		return o.end(err)
	}
	// Only its reader: a file would take what comes from the descriptor of a connection, which with TLS is encrypted.
	if n, err := io.Copy(o.Out, struct{ io.Reader }{conn}); err != nil && n == 0 {
		return o.end(err)
	}
	fmt.Fprintln(o.Out)
	return exitOK
}

// secured does the handshake of TLS with the settings for clients.
func secured(ctx context.Context, conn *net.TCPConn, host string) (net.Conn, error) {
	var flags []config.Flags
	for _, name := range []string{"CLIENT_JVMFLAGS", "JVMFLAGS"} {
		flags = append(flags, config.Flags{Source: name, Words: strings.Fields(os.Getenv(name))})
	}
	// Of a server's settings those for TLS are a client's, too.
	cfg, err := config.Standalone([]string{"1", "/"}, flags...)
	if err != nil {
		return nil, err
	}
	tls, err := secure.New(cfg.TLS.Client, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	encrypted, err := tls.Client(ctx, conn, host)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return encrypted, nil
}
