package keystore

import (
	"crypto/tls"
	"net"
)

// handshake lets a server and a client of TLS meet.
func handshake(server, client *tls.Config) [2]error {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(near, server).Handshake() }()
	err := tls.Client(far, client).Handshake()
	if err != nil {
		far.Close()
	}
	return [2]error{<-done, err}
}
