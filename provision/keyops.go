package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/sshkeys"
)

// The steps of operations on SSH keys.
const (
	stepObserveKeys = "look at the ssh keys"
	stepAuthorize   = "authorize the keys"
	stepTidy        = "take keys out of authorized_keys"
	stepOwnLogin    = "log in once more from here"
)

// HostKeys are the SSH keys of one host.
type HostKeys struct {
	Host     inventory.Host
	Observed sshkeys.Observed
	// Login is the key or certificate with which we are logged in now; nil if it was a password, or on this machine.
	Login ssh.PublicKey
	// Allowed are the keys of people that the inventory lets in.
	Allowed []sshkeys.PublicKey
}

// Current is the key that the host logs in to others with; nil if it has none.
func (k HostKeys) Current() *sshkeys.UserKey { return k.Observed.Current() }

// InUse reports whether a line of authorized_keys is what lets us in.
func (k HostKeys) InUse(line sshkeys.AuthorizedKey) bool {
	if cert, ok := k.Login.(*ssh.Certificate); ok && line.Authority() && line.Is(cert.SignatureKey) {
		return true
	}
	return k.Login != nil && line.Is(k.Login)
}

// ring are the hosts of a key operation, one for each machine.
type ring struct {
	keyring
	login []ssh.PublicKey // by host
	// unseen are the names of hosts that the operation leaves out and that could not be looked at.
	unseen []string
}

func (k *ring) host(i int) HostKeys {
	return HostKeys{Host: k.hosts[i], Observed: k.members[i].Observed, Login: k.login[i], Allowed: k.members[i].Allowed}
}

// lookAtKeys observes the keys of all hosts that take part in their exchange.
func (r *Run) lookAtKeys(ctx context.Context) (*ring, error) {
	hosts := slices.DeleteFunc(r.oneOfEachMachine(), func(h inventory.Host) bool { return !managesKeys(h) })
	if len(hosts) == 0 {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "no host has its ssh keys managed: system.ssh_keys is leave everywhere", Remedy: "set it to manage"}
	}
	if !slices.ContainsFunc(hosts, r.within) {
		return nil, noneManaged(r.Inventory.Name)
	}
	return r.lookAtKeysOf(ctx, hosts)
}

func noneManaged(ensemble string) error {
	return &RefusedError{Host: ensemble, Text: "none of the chosen hosts has its ssh keys managed", Remedy: "set system.ssh_keys to manage"}
}

// lookAtKeysOf observes the keys of hosts. Those that the operation leaves out need not be reached; they are not in the ring then.
func (r *Run) lookAtKeysOf(ctx context.Context, hosts []inventory.Host) (*ring, error) {
	k := &ring{keyring: keyring{hosts: hosts}, login: make([]ssh.PublicKey, len(hosts))}
	seen := make([]bool, len(hosts))
	for _, h := range hosts {
		m, err := peerOf(h)
		if err != nil {
			return nil, err
		}
		k.members = append(k.members, m)
	}
	err := r.step(ctx, stepObserveKeys, func(ctx context.Context) error {
		return r.each(ctx, stepObserveKeys, k.hosts, func(ctx context.Context, i int) error {
			if err := r.observeKeys(ctx, k.hosts[i], &k.members[i]); err != nil {
				if context.Cause(ctx) == nil && r.leftOut(stepObserveKeys, k.hosts[i], err) {
					return nil
				}
				return err
			}
			k.login[i], seen[i] = r.loginKey(k.hosts[i]), true
			return nil
		})
	})
	found := &ring{}
	for i, h := range k.hosts {
		if seen[i] {
			found.hosts, found.members, found.login = append(found.hosts, h), append(found.members, k.members[i]), append(found.login, k.login[i])
		} else {
			found.unseen = append(found.unseen, h.Name)
		}
	}
	return found, err
}

// loginKey is the key with which a connected host let us in.
func (r *Run) loginKey(h inventory.Host) ssh.PublicKey {
	host, err := r.host(h)
	if err != nil {
		return nil
	}
	if s, ok := host.Host.(interface{ LoginKey() ssh.PublicKey }); ok {
		return s.LoginKey()
	}
	return nil
}

// oneOfEachMachine are the hosts that stand for their machine; see machines. Where there is one, it is a host of the limit.
func (r *Run) oneOfEachMachine() []inventory.Host {
	var first []inventory.Host
	for _, h := range r.Inventory.Hosts {
		i := slices.IndexFunc(first, h.SameMachine)
		if i < 0 {
			first = append(first, h)
		} else if !r.within(first[i]) && r.within(h) {
			first[i] = h
		}
	}
	return first
}

// Exclusively runs f while no other zkctl works on the hosts.
func (r *Run) Exclusively(ctx context.Context, f func(context.Context) error) error {
	if r.DryRun {
		return f(ctx)
	}
	return r.locked(ctx, nil, nil, f)
}

// Keys looks at the SSH keys of all hosts, also of those where they are left alone, and changes nothing.
func (r *Run) Keys(ctx context.Context) ([]HostKeys, error) {
	k, err := r.lookAtKeysOf(ctx, r.oneOfEachMachine())
	if err != nil {
		return nil, err
	}
	all := make([]HostKeys, len(k.hosts))
	for i := range k.hosts {
		all[i] = k.host(i)
	}
	return all, nil
}

// SyncKeys does what a bootstrap does about SSH keys, proof included, and where the inventory says so takes all other keys
// out of authorized_keys: those of no member, of no file in system.authorized_keys, and not the one that lets us in.
func (r *Run) SyncKeys(ctx context.Context) error {
	k, err := r.lookAtKeys(ctx)
	if err != nil {
		return err
	}
	if _, err := r.planKeys(&k.keyring); err != nil {
		return err
	}
	if err := r.applyKeys(ctx, &k.keyring); err != nil {
		return err
	}
	if !r.DryRun {
		if err := r.proveKeys(ctx, r.keyringWithin(&k.keyring)); err != nil {
			return err
		}
		if err := r.refresh(ctx, k); err != nil {
			return err
		}
	}
	if exclusive := func(i int) bool { return k.hosts[i].System.SSHKeys == "exclusive" }; len(k.unseen) > 0 && slices.ContainsFunc(r.turn(&k.keyring), exclusive) {
		r.report(Event{Kind: Warning, Step: stepTidy, Text: "no key is taken out of authorized_keys: which ones are those of " + strings.Join(k.unseen, ", ") + " is not known"})
		return nil
	}
	return r.removeKeys(ctx, k, k.foreign)
}

// refresh looks again at the keys.
func (r *Run) refresh(ctx context.Context, k *ring) error {
	return r.eachOf(ctx, stepObserveKeys, k.hosts, r.turn(&k.keyring), func(ctx context.Context, i int) error {
		return r.observeKeys(ctx, k.hosts[i], &k.members[i])
	})
}

// foreign reports whether a key is to leave a host that has its keys exclusively.
func (k *ring) foreign(i int, line sshkeys.AuthorizedKey) bool {
	return k.hosts[i].System.SSHKeys == "exclusive" && !k.isMembers(line.PublicKey) &&
		!slices.ContainsFunc(k.members[i].Allowed, line.Same)
}

// isMembers reports whether a key is one that a member uses, or is about to use.
func (k *ring) isMembers(key sshkeys.PublicKey) bool {
	for _, m := range k.members {
		o := m.Observed
		for _, own := range slices.Concat(o.Keys, o.Next) {
			if own.Public.Same(key) {
				return true
			}
		}
	}
	return false
}

// removeKeys takes keys out of authorized_keys of all hosts that the operation may change. The connections that are open now stay so meanwhile: where a
// fresh login from here, or one between members, fails afterwards, they bring every file back. The key that lets us in is
// never taken out.
func (r *Run) removeKeys(ctx context.Context, k *ring, gone func(i int, line sshkeys.AuthorizedKey) bool) error {
	changes := make([]*hostprep.Change, len(k.hosts))
	none, turn := true, r.turn(&k.keyring)
	for _, i := range turn {
		m := k.members[i]
		o := m.Observed
		rest, removed := sshkeys.RemoveAuthorized(o.Authorized.Content, func(line sshkeys.AuthorizedKey) bool {
			if !gone(i, line) {
				return false
			}
			if k.host(i).InUse(line) {
				r.note(stepTidy, m.Name, "%s %s stays: it lets us in", line.Fingerprint(), line.Comment())
				return false
			}
			return true
		})
		if len(removed) == 0 {
			continue
		}
		none = false
		var names []string
		for _, line := range removed {
			names = append(names, strings.TrimSpace(line.Fingerprint()+" "+line.Comment()))
		}
		c := sshkeys.AuthorizedChange(o, rest, fmt.Sprintf("take %s out of %s", strings.Join(names, ", "), o.AuthorizedPath))
		changes[i] = &c
	}
	if none {
		return nil
	}
	err := r.step(ctx, stepTidy, func(ctx context.Context) error {
		return r.eachOf(ctx, stepTidy, k.hosts, turn, func(ctx context.Context, i int) error {
			if changes[i] == nil {
				return nil
			}
			return r.change(ctx, stepTidy, k.hosts[i], *changes[i])
		})
	})
	if err == nil && !r.DryRun {
		if err = r.proveOwnLogin(ctx, k); err == nil {
			err = r.proveKeys(ctx, r.keyringWithin(&k.keyring))
		}
	}
	if err == nil || r.DryRun {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	return restored(err, "authorized_keys is everywhere as it was before", r.eachOf(ctx, stepTidy, k.hosts, turn, func(ctx context.Context, i int) error {
		if changes[i] == nil {
			return nil
		}
		o := k.members[i].Observed
		before := o.Authorized.Content
		if o.Authorized.Content = changes[i].After; r.observeKeys(ctx, k.hosts[i], &k.members[i]) == nil {
			if o = k.members[i].Observed; string(o.Authorized.Content) == string(before) {
				return nil
			}
		}
		return r.change(ctx, stepTidy, k.hosts[i], sshkeys.AuthorizedChange(o, before, "give "+o.AuthorizedPath+" back"))
	}))
}

// restored says what became of an operation that failed and was taken back.
func restored(cause error, how string, taking error) error {
	if taking != nil {
		return fmt.Errorf("%w\nand taking it back failed, too: %w", cause, taking)
	}
	return fmt.Errorf("%w\n(%s)", cause, how)
}

// proveOwnLogin makes a fresh connection to each host, as the next zkctl will.
func (r *Run) proveOwnLogin(ctx context.Context, k *ring) error {
	return r.step(ctx, stepOwnLogin, func(ctx context.Context) error {
		return r.eachOf(ctx, stepOwnLogin, k.hosts, r.turn(&k.keyring), func(ctx context.Context, i int) error {
			fresh, err := r.Connect(k.hosts[i])
			if err != nil {
				return err
			}
			defer fresh.Close()
			_, err = fresh.Run(ctx, remote.Command{Label: "log in", Script: ":", ReadOnly: true})
			return err
		})
	})
}

// RevokeKeys takes keys out of authorized_keys of all hosts, or of those of the limit, by fingerprint, comment, or the file of a public key. A key
// with which a member logs in to the others is refused: it has to be rotated. Hosts that are left out and let the key in are told of.
func (r *Run) RevokeKeys(ctx context.Context, ids []string) (removed int, err error) {
	k, err := r.lookAtKeys(ctx)
	if err != nil {
		return 0, err
	}
	found := map[string]bool{}
	var refused []string
	matches := func(i int, line sshkeys.AuthorizedKey) bool {
		for _, id := range ids {
			if !isKey(id, line.PublicKey) {
				continue
			}
			found[id] = true
			return true
		}
		return false
	}
	for i, m := range k.members {
		for _, line := range sshkeys.ReadAuthorized(m.Observed.Authorized.Content) {
			if !matches(i, line) {
				continue
			}
			if !r.within(k.hosts[i]) {
				r.report(Event{Kind: Warning, Step: stepTidy, Host: m.Name, Text: fmt.Sprintf("is left out, and goes on letting in %s",
					strings.TrimSpace(line.Fingerprint()+" "+line.Comment()))})
				continue
			}
			removed++
			for _, other := range k.members {
				if key := other.Observed.Current(); key != nil && key.Public.Same(line.PublicKey) {
					refused = append(refused, fmt.Sprintf("%s is the key with which %s logs in to the others: rotate it (zkctl keys rotate --limit %s)", line.Fingerprint(), other.Name, other.Name))
				}
			}
			if k.host(i).InUse(line) {
				refused = append(refused, fmt.Sprintf("%s is the key with which we are logged in to %s: log in with another one (--ssh-key)", line.Fingerprint(), m.Name))
			}
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused)
		return 0, &RefusedError{Host: r.Inventory.Name, Text: strings.Join(slices.Compact(refused), "\n"), Remedy: "nothing was changed"}
	}
	err = k.elsewhere(matches)
	that := ""
	if len(k.unseen) > 0 {
		that = " that was looked at"
	}
	for _, id := range ids {
		if !found[id] {
			r.note(stepTidy, "", "no host%s has the key %s", that, id)
		}
	}
	if removed > 0 {
		err = joined([]error{r.removeKeys(ctx, k, matches), err})
	}
	return removed, err
}

// elsewhere is an error where a key is let in by a further file of sshd's, which is not ours to edit.
func (k *ring) elsewhere(matches func(i int, line sshkeys.AuthorizedKey) bool) error {
	var errs []error
	for i, m := range k.members {
		for _, file := range slices.Sorted(maps.Keys(m.Observed.Also)) {
			for _, line := range sshkeys.ReadAuthorized(m.Observed.Also[file]) {
				if matches(i, line) {
					errs = append(errs, fmt.Errorf("%s: %s goes on letting in %s: take it out by hand, or remove the file", m.Name, file,
						strings.TrimSpace(line.Fingerprint()+" "+line.Comment())))
				}
			}
		}
	}
	return joined(errs)
}

// isKey reports whether an operator's word for a key means this one.
func isKey(id string, key sshkeys.PublicKey) bool {
	if id == key.Comment() || id == key.Fingerprint() || "SHA256:"+id == key.Fingerprint() {
		return true
	}
	text, err := os.ReadFile(id)
	if err != nil {
		return false
	}
	public, err := sshkeys.ParsePublicKey(string(text))
	return err == nil && public.Same(key)
}

var errNoKey = errors.New("has no key to be rotated; zkctl keys sync makes one")
