package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/sshkeys"
)

// The steps of a rotation.
const (
	stepNextKeys   = "make the next keys"
	stepProveNext  = "log in with the next keys"
	stepSwap       = "put the next keys in place"
	stepForgetKeys = "remove the replaced keys"
)

// RotatedKey is one key pair that was replaced.
type RotatedKey struct {
	Host     string `json:"host"`
	Old, New string // fingerprints
}

// RotateKeys gives the named hosts, all if none is named, new key pairs, in an order in which every host can log in to
// every other at each moment: the next keys are made on their hosts and authorized everywhere; each is proved by a fresh
// login to every other host; they take the place of the old ones, which is proved again; then the old ones leave
// authorized_keys, and after a last proof the disks. What fails before that is taken back. A rotation that was cut off goes
// on where it stopped.
func (r *Run) RotateKeys(ctx context.Context, names []string) ([]RotatedKey, error) {
	chosen, err := r.chosen(names)
	if err != nil {
		return nil, err
	}
	k, err := r.lookAtKeys(ctx)
	if err != nil {
		return nil, err
	}
	var turn []int // the hosts whose turn it is
	for i, h := range k.hosts {
		if !slices.ContainsFunc(chosen, func(c inventory.Host) bool { return c.Name == h.Name }) {
			continue
		}
		if m := k.members[i]; m.Observed.Current() == nil && !m.Rotating() {
			return nil, fmt.Errorf("%s: %w", h.Name, errNoKey)
		}
		turn = append(turn, i)
	}
	if len(turn) == 0 {
		return nil, noneManaged(r.Inventory.Name)
	}
	before := slices.Clone(k.members)
	rotated, err := r.replaceKeys(ctx, k, turn)
	if err != nil {
		if r.DryRun {
			return nil, err
		}
		return nil, restored(err, "the keys are everywhere as they were before", r.takeBack(context.WithoutCancel(ctx), k, before, turn))
	}
	if r.DryRun {
		return rotated, nil
	}
	if err := r.forgetKeys(ctx, k, turn); err != nil {
		return rotated, fmt.Errorf("the new keys are in place, the replaced ones are still there (run it again): %w", err)
	}
	return rotated, nil
}

func (k *ring) kind(i int) sshkeys.KeyType { return sshkeys.KeyType(k.hosts[i].System.KeyType) }

// on runs f for the hosts whose turn it is.
func (r *Run) on(ctx context.Context, step string, k *ring, turn []int, f func(ctx context.Context, i int) error) error {
	return r.step(ctx, step, func(ctx context.Context) error { return r.eachOf(ctx, step, k.hosts, turn, f) })
}

// replaceKeys is a rotation up to the point where the new keys are in place and proved. Old keys are authorized still.
func (r *Run) replaceKeys(ctx context.Context, k *ring, turn []int) ([]RotatedKey, error) {
	// Those that an earlier rotation has brought so far already are only to be finished.
	fresh := slices.DeleteFunc(slices.Clone(turn), func(i int) bool {
		_, next := k.members[i].NextKey()
		return k.members[i].Rotating() && !next
	})
	var rotated []RotatedKey
	err := r.on(ctx, stepNextKeys, k, fresh, func(ctx context.Context, i int) error {
		for _, c := range sshkeys.PlanNext(k.members[i], k.kind(i)) {
			if err := r.change(ctx, stepNextKeys, k.hosts[i], c); err != nil {
				return err
			}
		}
		if r.DryRun {
			return nil
		}
		return r.observeKeys(ctx, k.hosts[i], &k.members[i])
	})
	if err != nil || r.DryRun {
		return nil, err
	}
	for _, i := range turn {
		m := k.members[i]
		key := RotatedKey{Host: m.Name}
		if current := m.Observed.Current(); current != nil {
			key.Old = current.Public.Fingerprint()
		}
		if m.Rotating() {
			key.New, key.Old = key.Old, m.Observed.Last[0].Public.Fingerprint()
		}
		if next, ok := m.NextKey(); ok {
			key.New = next.Public.Fingerprint()
		}
		rotated = append(rotated, key)
	}
	if err := r.authorize(ctx, k); err != nil {
		return nil, err
	}
	err = r.on(ctx, stepProveNext, k, fresh, func(ctx context.Context, i int) error {
		next, ok := k.members[i].NextKey()
		if !ok {
			return fmt.Errorf("%s: the next key is not there any more", k.hosts[i].Name)
		}
		return r.proveFrom(ctx, &k.keyring, i, next.File)
	})
	if err != nil {
		return nil, err
	}
	err = r.on(ctx, stepSwap, k, fresh, func(ctx context.Context, i int) error {
		for _, c := range sshkeys.PlanSwap(k.members[i]) {
			// Between its two halves the host would be without a key.
			if err := r.change(context.WithoutCancel(ctx), stepSwap, k.hosts[i], c); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = r.refresh(ctx, k)
	}
	if err == nil {
		err = r.proveKeys(ctx, &k.keyring)
	}
	return rotated, err
}

// authorize lets the keys that members have now and will have next in everywhere.
func (r *Run) authorize(ctx context.Context, k *ring) error {
	var keys []sshkeys.PublicKey
	for _, m := range k.members {
		if current := m.Observed.Current(); current != nil {
			keys = append(keys, current.Public)
		}
		if next, ok := m.NextKey(); ok {
			keys = append(keys, next.Public)
		}
	}
	return r.step(ctx, stepAuthorize, func(ctx context.Context) error {
		return r.each(ctx, stepAuthorize, k.hosts, func(ctx context.Context, i int) error {
			o := k.members[i].Observed
			merged, _ := sshkeys.MergeAuthorized(o.Authorized.Content, keys)
			if string(merged) == string(o.Authorized.Content) {
				return nil
			}
			c := sshkeys.AuthorizedChange(o, merged, "let the next keys in to "+k.hosts[i].Name)
			if err := r.change(ctx, stepAuthorize, k.hosts[i], c); err != nil {
				return err
			}
			return r.observeKeys(ctx, k.hosts[i], &k.members[i])
		})
	})
}

// takeBack gives every host the key pair that it had before, and then the authorized_keys: with the keys in it of those
// hosts that did not get their pair back.
func (r *Run) takeBack(ctx context.Context, k *ring, before []sshkeys.Member, turn []int) error {
	const step = "take the rotation back"
	return r.step(ctx, step, func(ctx context.Context) error {
		stayed := make([][]sshkeys.PublicKey, len(k.hosts))
		err := r.eachOf(ctx, step, k.hosts, turn, func(ctx context.Context, i int) error {
			if before[i].Rotating() {
				return nil
			}
			for _, c := range sshkeys.PlanBack(before[i], k.kind(i)) {
				if err := r.change(ctx, step, k.hosts[i], c); err != nil {
					for _, key := range slices.Concat(k.members[i].Observed.Keys, k.members[i].Observed.Next) {
						stayed[i] = append(stayed[i], key.Public)
					}
					return err
				}
			}
			return nil
		})
		if slices.ContainsFunc(before, sshkeys.Member.Rotating) {
			return err // the keys of a rotation that an earlier run began stay authorized
		}
		return joined([]error{err, r.each(ctx, step, k.hosts, func(ctx context.Context, i int) error {
			o := before[i].Observed
			now := k.members[i]
			after, _ := sshkeys.MergeAuthorized(o.Authorized.Content, slices.Concat(stayed...))
			if err := r.observeKeys(ctx, k.hosts[i], &now); err == nil && string(after) == string(now.Observed.Authorized.Content) {
				return nil
			}
			o.Authorized.Content = now.Observed.Authorized.Content
			return r.change(ctx, step, k.hosts[i], sshkeys.AuthorizedChange(o, after, "give "+o.AuthorizedPath+" back"))
		})})
	})
}

// forgetKeys ends a rotation: the replaced keys leave authorized_keys, unless another member or we ourselves use them,
// then their hosts.
func (r *Run) forgetKeys(ctx context.Context, k *ring, turn []int) error {
	replaced := func(_ int, line sshkeys.AuthorizedKey) bool {
		if k.isMembers(line.PublicKey) {
			return false
		}
		return slices.ContainsFunc(turn, func(i int) bool {
			return slices.ContainsFunc(k.members[i].Observed.Last, func(old sshkeys.UserKey) bool { return old.Public.Same(line.PublicKey) })
		})
	}
	if err := r.removeKeys(ctx, k, replaced); err != nil {
		return err
	}
	return r.on(ctx, stepForgetKeys, k, turn, func(ctx context.Context, i int) error {
		for _, c := range sshkeys.PlanForget(k.members[i]) {
			if err := r.change(ctx, stepForgetKeys, k.hosts[i], c); err != nil {
				return err
			}
		}
		return nil
	})
}
