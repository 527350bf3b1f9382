package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/sshkeys"
	"github.com/zkctl/zkctl/templates"
)

const stepProof = "log in from each host to each other"

// managesKeys reports whether the host takes part in the exchange of SSH keys.
func managesKeys(h inventory.Host) bool { return h.System.SSHKeys != "leave" }

// keyFragments are the scripts that observe a host's keys.
func (r *Run) keyFragments(m templates.Member) []string {
	if !managesKeys(m.Host) {
		return nil
	}
	return []string{sshkeys.Fragment(m.Host.SSH.User)}
}

// machines returns the members that stand for their machine: all of them, but for pseudo-clusters, where the first on
// each machine does. What belongs to a machine is planned for these only.
func machines(members []member) []member {
	var first []member
	for _, m := range members {
		if !slices.ContainsFunc(first, func(o member) bool { return m.Host.SameMachine(o.Host) }) {
			first = append(first, m)
		}
	}
	return first
}

// keyring are the hosts that take part in the exchange of SSH keys, as their peers call them.
type keyring struct {
	hosts   []inventory.Host
	members []sshkeys.Member
}

// keyring reads the keys of all hosts from their facts.
func (r *Run) keyring(members []member) (*keyring, error) {
	k := &keyring{}
	for _, m := range machines(members) {
		if !managesKeys(m.Host) {
			continue
		}
		observed, err := sshkeys.Parse(m.facts.Fields)
		if err != nil {
			return nil, fmt.Errorf("%s: ssh keys: %w", m.Host.Name, err)
		}
		member, err := peerOf(m.Host)
		if err != nil {
			return nil, err
		}
		member.Observed = observed
		k.hosts = append(k.hosts, m.Host)
		k.members = append(k.members, member)
	}
	return k, nil
}

// peerOf is a host as its peers call it, with the keys of people that it is to let in.
func peerOf(h inventory.Host) (sshkeys.Member, error) {
	m := sshkeys.Member{Name: h.Name, Port: h.SSH.Port, Addresses: []string{h.PeerAddress}}
	if h.Address != h.PeerAddress {
		m.Addresses = append(m.Addresses, h.Address)
	}
	for _, file := range h.System.AuthorizedKeys {
		text, err := os.ReadFile(file)
		if err != nil {
			return m, fmt.Errorf("%s: system.authorized_keys: %w", h.Name, err)
		}
		for _, key := range sshkeys.ReadAuthorized(text) {
			m.Allowed = append(m.Allowed, key.PublicKey)
		}
	}
	return m, nil
}

// planKeys plans the exchange of SSH keys as far as it can be known now: the lines for keys that are yet to be made come
// with applyKeys. Findings that forbid going on are ErrChecks.
func (r *Run) planKeys(k *keyring) (*Plan, error) {
	p := &Plan{}
	var all []hostprep.Finding
	for i, self := range k.members {
		pair, findings := sshkeys.PlanKeyPair(self, sshkeys.KeyType(k.hosts[i].System.KeyType))
		mesh, more := sshkeys.PlanMesh(self, k.members)
		var notes []string
		for _, f := range append(findings, more...) {
			if f.Severity == hostprep.Note {
				notes = append(notes, f.Text)
			} else {
				all = append(all, f)
			}
		}
		p.add(stepKeys, k.hosts[i], append(pair, mesh...), notes...)
	}
	return p, r.findings(stepKeys, r.eased(all))
}

// applyKeys makes the missing key pairs, then gives every host the keys of all.
func (r *Run) applyKeys(ctx context.Context, k *keyring) error {
	return r.step(ctx, stepKeys, func(ctx context.Context) error {
		turn := r.turn(k)
		err := r.eachOf(ctx, stepKeys, k.hosts, turn, func(ctx context.Context, i int) error {
			changes, _ := sshkeys.PlanKeyPair(k.members[i], sshkeys.KeyType(k.hosts[i].System.KeyType))
			if len(changes) == 0 {
				return nil
			}
			seen := &k.members[i].Observed
			return r.changeAndLook(ctx, repeated(stepKeys, len(changes)), k.hosts[i],
				hostprep.Batch{Changes: changes, Look: sshkeys.PairsFragment(seen.Home), Seen: seen.ParsePairs})
		})
		if err != nil {
			return err
		}
		return r.eachOf(ctx, stepKeys, k.hosts, turn, func(ctx context.Context, i int) error {
			changes, _ := sshkeys.PlanMesh(k.members[i], k.members)
			return r.changeAll(ctx, repeated(stepKeys, len(changes)), k.hosts[i], changes)
		})
	})
}

// turn are the places of the hosts that the operation may change.
func (r *Run) turn(k *keyring) (turn []int) {
	for i, h := range k.hosts {
		if r.within(h) {
			turn = append(turn, i)
		}
	}
	return turn
}

func repeated(step string, n int) []string { return slices.Repeat([]string{step}, n) }

// observeKeys looks at all of a host's keys again.
func (r *Run) observeKeys(ctx context.Context, h inventory.Host, m *sshkeys.Member) error {
	host, err := r.host(h)
	if err != nil {
		return err
	}
	res, err := host.Run(ctx, remote.Command{
		Label: "look at the ssh keys", Script: remote.FieldsScript + sshkeys.Fragment(h.SSH.User) + "\n:\n",
		Root: privileged(templates.Member{Host: h}), ReadOnly: true,
	})
	if err != nil {
		return err
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err == nil {
		m.Observed, err = sshkeys.Parse(fields)
	}
	if err != nil {
		return fmt.Errorf("%s: ssh keys: %w", h.Name, err)
	}
	return nil
}

// proveKeys really logs in from every host to every other, by address, and by name where /etc/hosts is ours.
func (r *Run) proveKeys(ctx context.Context, k *keyring) error {
	return r.step(ctx, stepProof, func(ctx context.Context) error {
		return r.each(ctx, stepProof, k.hosts, func(ctx context.Context, i int) error { return r.proveFrom(ctx, k, i, "-") })
	})
}

// proveFrom logs in from one host to the others, with the private key in a file of the host, or as ssh does by itself.
func (r *Run) proveFrom(ctx context.Context, k *keyring, i int, identity string) error {
	var targets []sshkeys.Target
	// Each begins with the one behind it, so that not all call the same one at once.
	for step := 1; step < len(k.hosts); step++ {
		j := (i + step) % len(k.hosts)
		h := k.hosts[j]
		t := sshkeys.Target{Member: h.Name, Address: h.PeerAddress, User: k.members[j].Observed.User, Port: h.SSH.Port}
		if k.hosts[i].System.HostsFile == "manage" && h.Name != h.PeerAddress {
			t.Name = h.Name
		}
		targets = append(targets, t)
	}
	host, err := r.host(k.hosts[i])
	if err != nil {
		return err
	}
	failures, err := sshkeys.Prove(ctx, host, identity, targets)
	at := func(f *sshkeys.Failure) int {
		return slices.IndexFunc(k.hosts, func(h inventory.Host) bool { return h.Name == f.Target.Member })
	}
	slices.SortStableFunc(failures, func(a, b *sshkeys.Failure) int { return at(a) - at(b) })
	errs := []error{err}
	for _, f := range failures {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}
