package admin

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"
)

// Credentials are what somebody offers for a guarded command.
type Credentials struct {
	// Scheme and Data are those of the header Authorization.
	Scheme string
	Data   []byte
	// Remote is the address of the client.
	Remote netip.Addr
	// Certificates are those that the client has shown, its own first.
	Certificates []*x509.Certificate
}

// Access is whether somebody may run a guarded command.
type Access int

const (
	// NotAuthenticated is somebody whose credentials prove nothing.
	NotAuthenticated Access = iota
	// NotAuthorized is somebody who may not do everything with the root.
	NotAuthorized
	// Granted is somebody who may.
	Granted
)

// authorize looks at who asks for a guarded command; it returns the status and error to answer with, 0 for nothing.
func (h *commandHandler) authorize(r *http.Request) (status int, reason string) {
	header, ok := r.Header["Authorization"]
	if !ok {
		return http.StatusUnauthorized, "Auth info is missing for the command"
	}
	words := strings.Split(strings.TrimRight(header[0], " "), " ")
	if len(words) > 2 {
		return http.StatusUnauthorized, "Not authenticated"
	}
	c := Credentials{Scheme: words[0], Remote: h.remote(r)}
	if len(words) == 2 {
		c.Data = []byte(words[1])
	}
	if state, ok := tlsOf(r); ok {
		c.Certificates = state.PeerCertificates
	}
	switch h.src.Authorize(c) {
	case Granted:
		return 0, ""
	case NotAuthorized:
		return http.StatusForbidden, "Not authorized"
	}
	return http.StatusUnauthorized, "Not authenticated"
}

// remote is the address of the client, or the one that a proxy gives for it, if proxies are trusted
// (IPAuthenticationProvider.usexforwardedfor).
func (h *commandHandler) remote(r *http.Request) netip.Addr {
	if h.src.Config().Admin.TrustForwardedFor {
		if header := r.Header.Get("X-Forwarded-For"); header != "" {
			first, _, _ := strings.Cut(header, ",")
			addr, _ := netip.ParseAddr(strings.TrimSpace(first)) // the zero address is nobody's
			return addr
		}
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // net/http's own
	return at.Addr().Unmap()
}
