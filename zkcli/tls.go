package zkcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/server/secure"
)

// dialer returns how to connect with TLS, nil without it. Handshakes that fail are told of at complaints.
func (s settings) dialer(complaints io.Writer) (func(context.Context, string) (net.Conn, error), error) {
	if !s.is("zookeeper.client.secure", false) {
		return nil, nil
	}
	how, err := s.secure()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(complaints, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	tls, err := secure.New(how, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		secured, err := tls.Client(ctx, conn.(*net.TCPConn), host)
		if err != nil {
			conn.Close()
			return nil, err
		}
		return secured, nil
	}, nil
}

// is reads a switch as java.lang.Boolean.parseBoolean does.
func (s settings) is(name string, otherwise bool) bool {
	if value, ok := s[name]; ok {
		return strings.EqualFold(value, "true")
	}
	return otherwise
}

// secure reads the properties zookeeper.ssl.*. Unlike a JVM it has no authorities of its own to trust.
func (s settings) secure() (secure.Settings, error) {
	const prefix = "zookeeper.ssl."
	how := secure.Defaults(false)
	for name, store := range map[string]*secure.Store{"keyStore": &how.KeyStore, "trustStore": &how.TrustStore} {
		key := prefix + name
		if store.Location = s[key+".location"]; store.Location == "" {
			continue
		}
		store.Password, store.PasswordPath = secure.Password(s[key+".password"]), s[key+".passwordPath"]
		var err error
		if store.Type, err = keystore.TypeOf(s[key+".type"], store.Location); err != nil {
			return how, fmt.Errorf("%s.type: %w", key, err)
		}
	}
	if how.TrustStore.Location == "" {
		return how, errors.New(prefix + "trustStore.location is missing: name the file with the certificates of those who sign the servers'")
	}
	for _, k := range []struct {
		name string
		set  func(string) error
	}{
		{"protocol", how.SetProtocol}, {"enabledProtocols", how.SetEnabledProtocols},
		{"ciphersuites", func(value string) error { _, err := how.SetCipherSuites(value); return err }},
	} {
		if value, ok := s[prefix+k.name]; ok {
			if err := k.set(value); err != nil {
				return how, fmt.Errorf("%s%s: %w", prefix, k.name, err)
			}
		}
	}
	how.VerifyHost = s.is(prefix+"hostnameVerification", true)
	how.CRL, how.OCSP = s.is(prefix+"crl", false), s.is(prefix+"ocsp", false)
	return how, nil
}
