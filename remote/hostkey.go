package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyPolicy says what to do about a host key that is not on record. A key
// that differs from the one on record is refused by every policy but
// HostKeyOff.
type HostKeyPolicy string

// The policies, named as in ssh_config(5), StrictHostKeyChecking.
const (
	HostKeyStrict    HostKeyPolicy = "strict"     // refuse
	HostKeyAsk       HostKeyPolicy = "ask"        // ask by SSHConfig.AcceptKey and record it, or refuse
	HostKeyAcceptNew HostKeyPolicy = "accept-new" // record it and go on
	HostKeyOff       HostKeyPolicy = "off"        // any key will do; test hosts only
)

// hostKeys checks host keys against known_hosts files, as described in sshd(8),
// "SSH_KNOWN_HOSTS FILE FORMAT".
type hostKeys struct {
	policy HostKeyPolicy
	files  []string // the first is the one that new keys are written to
}

// DefaultKnownHosts is the user's known_hosts file.
func DefaultKnownHosts() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".ssh", "known_hosts"), nil
}

// read reads the files, the system's own included.
func (h *hostKeys) read() (knownHosts, error) {
	return readKnownHosts(append(slices.Clone(h.files), systemKnownHosts))
}

const systemKnownHosts = "/etc/ssh/ssh_known_hosts"

// algorithms lists the host key algorithms to offer to the host.
func (h *hostKeys) algorithms(address string) ([]string, error) {
	if h.policy == HostKeyOff {
		return ssh.SupportedAlgorithms().HostKeys, nil
	}
	known, err := h.read()
	if err != nil {
		return nil, err
	}
	return known.algorithms(address), nil
}

// hostKeyError is a refusal with its remedy.
type hostKeyError struct {
	msg, remedy string
	cause       error
	unknown     ssh.PublicKey // the key, where none is on record
}

func (e *hostKeyError) Error() string { return e.msg }
func (e *hostKeyError) Unwrap() error { return e.cause }

// check is the callback of the SSH handshake. The host is judged by the name under
// which it is called alone: behind a jump host there is no other.
func (h *hostKeys) check(address string, _ net.Addr, key ssh.PublicKey) error {
	if h.policy == HostKeyOff {
		return nil
	}
	known, err := h.read()
	if err != nil {
		return err
	}
	if l := known.revoked(key); l != nil {
		return &hostKeyError{msg: fmt.Sprintf("the host key %s is revoked by %s:%d", ssh.FingerprintSHA256(key), l.file, l.number),
			remedy: "give the host a new key (ssh-keygen -A after removing the old one), or correct the line if it is wrong"}
	}
	cert, certified := key.(*ssh.Certificate)
	if !certified {
		return h.checkKey(known, address, key)
	}
	if len(known.authorities(address)) == 0 {
		return h.checkKey(known, address, cert.Key)
	}
	if err := known.checkCertificate(address, cert); err != nil {
		// As with ssh, a bad certificate is no certificate; but here an authority
		// vouches for the host, so that its bare key must be on record already.
		if slices.ContainsFunc(known.keys(address), func(l knownLine) bool { return sameKey(l.key, cert.Key) }) {
			return nil
		}
		return &hostKeyError{cause: err, msg: fmt.Sprintf("the host's certificate is not valid: %v", err),
			remedy: "have the host's key certified again, for this name, by the authority of " + known.authorities(address)[0].place()}
	}
	return nil
}

func (l knownLine) place() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

// checkCertificate verifies signature, authority, name and time.
func (k knownHosts) checkCertificate(address string, cert *ssh.Certificate) error {
	checker := ssh.CertChecker{IsHostAuthority: func(authority ssh.PublicKey, address string) bool {
		return slices.ContainsFunc(k.authorities(address), func(l knownLine) bool { return sameKey(l.key, authority) })
	}}
	return checker.CheckHostKey(address, nil, cert)
}

// checkKey judges a plain key.
func (h *hostKeys) checkKey(known knownHosts, address string, key ssh.PublicKey) error {
	same := func(l knownLine) bool { return sameKey(l.key, key) }
	recorded := known.keys(address)
	if slices.ContainsFunc(recorded, same) || slices.ContainsFunc(known.keys(withoutPort(address)), same) {
		return nil
	}
	switch {
	case len(recorded) > 0:
		var places, fixes []string
		for _, l := range recorded {
			places = append(places, fmt.Sprintf("%s (%s %s)", l.place(), l.key.Type(), ssh.FingerprintSHA256(l.key)))
			fix := fmt.Sprintf("ssh-keygen -R '%s' -f '%s'", xknownhosts.Normalize(address), l.file)
			if !slices.Contains(fixes, fix) {
				fixes = append(fixes, fix)
			}
		}
		return &hostKeyError{
			msg: fmt.Sprintf("the host shows %s %s, but on record is %s: the host was reinstalled, or another machine answers in its place",
				key.Type(), ssh.FingerprintSHA256(key), strings.Join(places, ", ")),
			remedy: "if the host was reinstalled, run: " + strings.Join(fixes, "; ")}
	case h.policy == HostKeyAcceptNew:
		return h.record(address, key)
	}
	return &hostKeyError{unknown: key,
		msg: fmt.Sprintf("%s %s is not on record in %s", key.Type(), ssh.FingerprintSHA256(key), strings.Join(h.files, ", ")),
		remedy: fmt.Sprintf("compare the fingerprint on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then add it to %s; or set host_key_policy to accept-new",
			h.files[0])}
}

// askForKey decides about a key that is not on record. It does so between two
// connections, since no host waits for long in the middle of a handshake.
func (s *SSH) askForKey(ctx context.Context, refused *hostKeyError) error {
	print := ssh.FingerprintSHA256(refused.unknown)
	answer, err := s.cfg.AcceptKey(ctx, fmt.Sprintf("%s (%s) shows a host key that is not on record in %s:\n  %s %s\n"+
		"The right one, on the host: cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -\nRecord it and go on? [yes/no/the fingerprint] ",
		s.cfg.Name, s.link, strings.Join(s.keys.files, ", "), refused.unknown.Type(), print))
	if err == nil {
		switch strings.ToLower(answer) {
		case "y", "yes", strings.ToLower(print):
			err = s.keys.record(s.known, refused.unknown)
		default:
			err = &hostKeyError{msg: fmt.Sprintf("%s %s was not accepted", refused.unknown.Type(), print), remedy: refused.remedy}
		}
	}
	var hk *hostKeyError
	switch {
	case errors.As(err, &hk):
		return s.failure("check host key", ErrHostKey, hk, hk.remedy)
	case err != nil:
		return s.failure("check host key", ErrHostKey, err, refused.remedy)
	}
	return nil
}

// record appends a new key to the first file. The lock is an flock of the file;
// the check is made again under it, since another process may have recorded
// this host, perhaps with another key.
func (h *hostKeys) record(address string, key ssh.PublicKey) error {
	file := h.files[0]
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("record the host key: %w", err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", file, err)
	}
	known, err := h.read()
	if err != nil {
		return err
	}
	if len(known.keys(address)) > 0 {
		strict := hostKeys{policy: HostKeyStrict, files: h.files}
		return strict.checkKey(known, address, key)
	}
	present, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if len(present) > 0 && !bytes.HasSuffix(present, []byte("\n")) {
		line.WriteByte('\n')
	}
	line.WriteString(xknownhosts.Line([]string{address}, key) + "\n")
	if _, err := f.Write(line.Bytes()); err != nil {
		return fmt.Errorf("record the host key: %w", err)
	}
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // as of /dev/null, which people name to keep nothing
		return fmt.Errorf("record the host key: %w", err)
	}
	return nil
}
