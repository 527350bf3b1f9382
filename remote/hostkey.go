package remote

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/skeema/knownhosts"
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

// db reads the files that exist, the system's own included.
func (h *hostKeys) db() (*knownhosts.HostKeyDB, error) {
	var present []string
	for _, f := range append(slices.Clone(h.files), "/etc/ssh/ssh_known_hosts") {
		if _, err := os.Stat(f); err == nil && !slices.Contains(present, f) {
			present = append(present, f)
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return knownhosts.NewDB(present...)
}

// algorithms lists the host key algorithms to offer, those that are on record for
// the host first: a server chooses the first that it can serve, and a key
// of another type would look like a changed one (golang/go#29286).
func (h *hostKeys) algorithms(address string) ([]string, error) {
	supported := ssh.SupportedAlgorithms().HostKeys
	if h.policy == HostKeyOff {
		return supported, nil
	}
	db, err := h.db()
	if err != nil {
		return nil, err
	}
	var order []string
	for _, a := range db.HostKeyAlgorithms(address) {
		if slices.Contains(supported, a) {
			order = append(order, a)
		}
	}
	for _, a := range supported {
		if !slices.Contains(order, a) {
			order = append(order, a)
		}
	}
	return order, nil
}

// hostKeyError is a refusal with its remedy.
type hostKeyError struct {
	msg, remedy string
	cause       error
}

func (e *hostKeyError) Error() string { return e.msg }
func (e *hostKeyError) Unwrap() error { return e.cause }

// check is the callback of the SSH handshake.
func (h *hostKeys) check(address string, remote net.Addr, key ssh.PublicKey) error {
	if h.policy == HostKeyOff {
		return nil
	}
	db, err := h.db()
	if err != nil {
		return err
	}
	err = db.HostKeyCallback()(address, remote, key)
	var keyErr *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return &hostKeyError{cause: err,
			msg: fmt.Sprintf("the host key %s is revoked by %s:%d", ssh.FingerprintSHA256(key), revoked.Revoked.Filename, revoked.Revoked.Line)}
	case errors.As(err, &keyErr) && len(keyErr.Want) > 0:
		var places, fixes []string
		for _, w := range keyErr.Want {
			places = append(places, fmt.Sprintf("%s:%d (%s %s)", w.Filename, w.Line, w.Key.Type(), ssh.FingerprintSHA256(w.Key)))
			fix := fmt.Sprintf("ssh-keygen -R '%s' -f '%s'", knownhosts.Normalize(address), w.Filename)
			if !slices.Contains(fixes, fix) {
				fixes = append(fixes, fix)
			}
		}
		return &hostKeyError{cause: err,
			msg: fmt.Sprintf("the host shows %s %s, but on record is %s: the host was reinstalled, or another machine answers in its place",
				key.Type(), ssh.FingerprintSHA256(key), strings.Join(places, ", ")),
			remedy: "if the host was reinstalled, run: " + strings.Join(fixes, "; ")}
	case errors.As(err, &keyErr) && h.policy == HostKeyAcceptNew:
		return h.record(address, remote, key)
	case errors.As(err, &keyErr):
		return &hostKeyError{cause: err,
			msg: fmt.Sprintf("%s %s is not on record in %s", key.Type(), ssh.FingerprintSHA256(key), strings.Join(h.files, ", ")),
			remedy: fmt.Sprintf("compare the fingerprint on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then add it to %s; or set host_key_policy to accept-new",
				h.files[0])}
	}
	return err
}

// record appends a new key to the first file. The lock is an flock of the file;
// the check is made again under it, since another process may have recorded
// this host, perhaps with another key.
func (h *hostKeys) record(address string, remote net.Addr, key ssh.PublicKey) error {
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
	db, err := h.db()
	if err != nil {
		return err
	}
	err = db.HostKeyCallback()(address, remote, key)
	if err == nil {
		return nil
	}
	if !knownhosts.IsHostUnknown(err) {
		return fmt.Errorf("another process just recorded a different key: %w", err)
	}
	present, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if len(present) > 0 && !bytes.HasSuffix(present, []byte("\n")) {
		line.WriteByte('\n')
	}
	line.WriteString(knownhosts.Line([]string{address}, key) + "\n")
	if _, err := f.Write(line.Bytes()); err != nil {
		return fmt.Errorf("record the host key: %w", err)
	}
	return f.Sync()
}
