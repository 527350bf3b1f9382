package remote

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// Become says how the login user becomes root.
type Become struct {
	// None forbids it: commands that need root fail unless the login user is
	// root.
	None bool

	// Program is sudo or doas; empty means sudo, or doas where there is no sudo.
	Program string

	// Password is asked for when sudo or doas wants one; nil means that they are
	// expected to work without. It is called at most once per host.
	Password func() (string, error)
}

// becomer holds what was learned about sudo or doas on one host.
type becomer struct {
	gate sync.Mutex // held while a password is tried for the first time

	mu       sync.Mutex
	asked    bool
	password string
	proven   bool         // sudo accepted the password, or wanted none
	refused  *BecomeError // no further attempt, or the account may be locked
	terminal bool         // sudo insists on a terminal (requiretty), or doas asks on one
}

// attempt says how to try the next command. The error is an earlier refusal or
// the failure to get the password.
func (b *becomer) attempt(become Become) (attempt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused != nil {
		return attempt{}, b.refused
	}
	if become.Password != nil && !b.asked {
		password, err := become.Password()
		if err != nil {
			return attempt{}, err
		}
		b.asked, b.password = true, password
	}
	return attempt{sudo: true, program: become.Program, withPassword: b.asked, password: b.password, terminal: b.terminal}, nil
}

func (b *becomer) isProven() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proven
}

func (b *becomer) prove() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proven = true
}

func (b *becomer) needTerminal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.terminal = true
}

func (b *becomer) refuse(err *BecomeError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = err
}

// becomeScript is evaluated by the loader in place of the command; it becomes root
// and starts a second loader, which announces itself on standard error by a
// ready line if there is a password to be fed before. A shell line before tells that
// the account has a shell at all. doas reads a password from
// the terminal alone, with a prompt of its own.
func becomeScript(marker string, a attempt) string {
	second := loader
	if a.withPassword {
		second = "printf \"" + marker + " ready\\n\" >&2; " + loader
	}
	second = "/bin/sh -c '" + second + "'"
	sudo, doas := "LC_ALL=C exec sudo -n -- "+second, "exec doas -n -- "+second
	if a.withPassword {
		sudo = "LC_ALL=C exec sudo -S -p '" + marker + " password:' -- " + second
		doas = "exec doas -- " + second
		if !a.terminal {
			doas = "if doas -n -- /bin/sh -c : 2>/dev/null; then exec doas -n -- " + second + "; fi\n" +
				"echo '" + doasWantsTerminal + "' >&2; exit 1"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "echo '%s shell' >&2\nif [ \"$(id -u)\" = 0 ]; then exec %s; fi\n", marker, second)
	switch {
	case a.none:
		fmt.Fprintf(&b, "echo 'zkctl: become is none' >&2; exit 1\n")
	case a.program == "doas":
		fmt.Fprintf(&b, "%s\n", doas)
	case a.program == "sudo":
		fmt.Fprintf(&b, "%s\n", sudo)
	default:
		fmt.Fprintf(&b, "if ! command -v sudo >/dev/null 2>&1 && command -v doas >/dev/null 2>&1; then\n%s\nfi\n%s\n", doas, sudo)
	}
	return b.String()
}

const doasWantsTerminal = "zkctl: doas asks on a terminal"

// doasPrompt ends the prompts of doas ("doas (guest@host) password: ").
var doasPrompt = []byte(") password:")

// sudoFailure reads what sudo said instead of running the command. tty reports
// that a terminal would help.
func sudoFailure(said string, hasPassword bool) (reason, remedy string, tty bool) {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(said, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has(doasWantsTerminal):
		return "doas asks for the password on a terminal, which the host does not give", "allow nopass for this user in doas.conf, or a terminal (PermitTTY) in sshd_config", true
	case has("doas: Authentication required", "doas: Authorization required", "doas: a tty is required"):
		return "doas wants a password", "give the become password, or allow nopass for this user in doas.conf", false
	case has("doas: Authentication failed", "doas: Authorization failed"):
		return "doas refused the password", "give the right become password; no second attempt was made, to keep the account from being locked", false
	case has("doas: Operation not permitted"):
		return "doas.conf does not allow it", "permit this user to run commands as root in doas.conf, or log in as another user", false
	case has("doas: not found", "doas: command not found", "doas: No such file"):
		return "doas is not installed", "install doas, set become to sudo, or log in as root", false
	case has("must have a tty", "have a tty to run sudo"):
		return "sudo demands a terminal", "remove requiretty from the sudoers file", true
	case has("become is none"):
		return "the login user is not root and become is none", "set become to sudo, or log in as root", false
	case has("expired", "change your password", "Password change required"): // and try again, says sudo
		return "the account's password has expired", "log in once by hand and change it", false
	case has("incorrect password", "try again"):
		return "sudo refused the password", "give the right become password; no second attempt was made, to keep the account from being locked", false
	case has("a password is required", "a terminal is required", "no password was provided", "interactive authentication is required"):
		if hasPassword {
			return "sudo did not take the password", "check the become password", false
		}
		return "sudo wants a password", "give the become password, or allow NOPASSWD for this user in the sudoers file", false
	case has("not in the sudoers", "not allowed to execute", "may not run sudo", "not allowed to run sudo", "I'm afraid I can't do that"):
		return "the sudoers file does not allow it", "allow this user to run /bin/sh as root in the sudoers file, or log in as another user", false
	case has("sudo: not found", "sudo: command not found", "sudo: No such file"):
		return "neither sudo nor doas is installed", "install one of them, or log in as root", false
	}
	return "", "", false
}

// withoutMarkers strips our own words from what a host said.
func withoutMarkers(noise []byte, marker string) []byte {
	noise = bytes.ReplaceAll(noise, []byte(marker+" password:"), nil)
	noise = bytes.ReplaceAll(noise, []byte(marker+" shell"), nil)
	return bytes.ReplaceAll(noise, []byte(marker+" ready"), nil)
}
