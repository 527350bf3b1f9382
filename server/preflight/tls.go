package preflight

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// tlsTimeout bounds a handshake, connecting included.
const tlsTimeout = 5 * time.Second

// probeTLS does a handshake with each of the addresses, as a client without a certificate, and says which certificate it
// was shown, by its SHA-256, and by which authorities it was asked for one, by their names in DER and hexadecimal. It
// verifies nothing. That it is refused in the end for the lack of a certificate is no matter.
func probeTLS(args []string, stdout io.Writer) error {
	f := flags("probe-tls")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("no address: zkserver probe-tls HOST:PORT [HOST:PORT ...]")
	}
	for _, address := range f.Args() {
		ctx, cancel := context.WithTimeout(context.Background(), tlsTimeout)
		shown, asks, err := handshake(ctx, address)
		cancel()
		if err != nil {
			fmt.Fprintf(stdout, "tls.failed\t=%s %v\n", address, err)
			continue
		}
		fmt.Fprintf(stdout, "tls.shown\t=%s %s\n", address, shown)
		for _, name := range asks {
			fmt.Fprintf(stdout, "tls.asks\t=%s %s\n", address, hex.EncodeToString(name))
		}
	}
	return nil
}

func handshake(ctx context.Context, address string) (shown string, asks [][]byte, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", nil, err
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true, // it is looked at, and nothing is said
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			shown = hex.EncodeToString(sum[:])
			return nil
		},
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asks = info.AcceptableCAs
			return &tls.Certificate{}, nil
		},
	}).HandshakeContext(ctx)
	if shown != "" {
		err = nil
	}
	return shown, asks, err
}
