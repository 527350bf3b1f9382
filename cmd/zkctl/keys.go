package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/sshkeys"
)

func keysCommand() *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "list, exchange, rotate and revoke the SSH keys of the hosts",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show whom each host lets in, and with which key it logs in to the others", ArgsUsage: "[INVENTORY]",
				Description: "   zkctl keys list\n   zkctl keys list --json | jq '.keys[] | select(.key == \"foreign\")'",
				Flags:       flagsFor(hostFlags(), limitFlags()),
				Action:      each(keysList),
			},
			{
				Name: "sync", Usage: "exchange the keys of all hosts, proved by logging in from each to each other", ArgsUsage: "[INVENTORY]",
				Description: `What a bootstrap does about SSH keys, and no more. Keys that others have put into authorized_keys stay, unless the inventory
says system.ssh_keys: exclusive: then all go but those of the hosts, those of system.authorized_keys, and the one with
which we are logged in. With --limit the chosen hosts exchange keys, and let in those of the others as far as these can be
reached; where they cannot, nothing is taken out.

   zkctl keys sync --dry-run
   zkctl keys sync
   zkctl keys sync --limit '!zk3'         # while zk3 is away`,
				Flags:  flagsFor(hostFlags(), dryRunFlag(), limitFlags()),
				Action: one(keysSync),
			},
			{
				Name: "rotate", Usage: "give hosts new keys", ArgsUsage: "[INVENTORY]",
				Description: `Makes the next key of each host on that host, lets it in everywhere, proves it by a fresh login to every other host, puts it
in place, proves that again, and only then removes the old one. What fails before that is taken back; a run that was
cut off is finished by running it again. Private keys never leave their hosts.

   zkctl keys rotate
   zkctl keys rotate --limit zk2          # of zk2 alone, proved at all`,
				Flags:  flagsFor(hostFlags(), dryRunFlag(), limitFlags()),
				Action: one(keysRotate),
			},
			{
				Name: "revoke", Usage: "take keys out of authorized_keys of all hosts", ArgsUsage: "KEY...",
				Description: `A KEY is a fingerprint (SHA256:...), the comment of a key, or the file of a public key. Refused (exit code 7) for the key with
which we are logged in, and for those of the hosts themselves. Afterwards every login is proved; where one fails,
authorized_keys is given back. A key that another file of sshd's lets in (AuthorizedKeysFile) stays there, which is an error.
With --limit the key goes on the chosen hosts only; others that let it in are told of.

   zkctl keys revoke mallory@laptop -i inventory.yaml
   zkctl keys revoke mallory@laptop --limit '!zk3'   # while zk3 is away; call it again for all`,
				Flags: flagsFor(hostFlags(), dryRunFlag(), limitFlags(), []cli.Flag{
					&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
				}),
				Action: keysRevoke,
			},
		},
	}
}

// onKeys runs one operation on the keys, while no other zkctl works on the hosts.
func (op *operation) onKeys(do func(context.Context, *provision.Run) error) error {
	return op.change(func(ctx context.Context, run *provision.Run) error {
		err := run.Exclusively(ctx, func(ctx context.Context) error { return do(ctx, run) })
		op.out.clear()
		if err != nil {
			op.out.times(run.Times())
		}
		return err
	})
}

// keysDone says what was done.
func keysDone(run *provision.Run, out *output, what string) error {
	out.clear()
	if out.json {
		out.line(map[string]any{"kind": "keys", "changes": run.Changes(), "dry_run": run.DryRun})
		return nil
	}
	out.times(run.Times())
	switch {
	case run.Changes() == 0:
		fmt.Fprintln(out.stdout, "nothing to do")
	case run.DryRun:
		fmt.Fprintf(out.stdout, "%s to make; nothing was changed\n", counted(run.Changes(), "change"))
	default:
		fmt.Fprintf(out.stdout, "%s: %s\n", counted(run.Changes(), "change"), what)
	}
	return nil
}

// keyLine is one key in the output of keys list.
type keyLine struct {
	Host        string   `json:"host"`
	Key         string   `json:"key"` // own: the host's; then of whom authorized_keys lets in: member, allowed, foreign
	Type        string   `json:"type"`
	Fingerprint string   `json:"fingerprint"`
	Comment     string   `json:"comment"`
	InUse       bool     `json:"in_use"` // we are logged in with it
	Options     []string `json:"options,omitempty"`
}

func keysList(op *operation) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.look(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		all, err := run.Keys(ctx)
		op.out.clear()
		if err != nil {
			return err
		}
		lines := slices.DeleteFunc(keyLines(all), func(l keyLine) bool { return len(names) > 0 && !slices.Contains(names, l.Host) })
		if op.out.json {
			op.out.line(map[string]any{"kind": "keys", "ensemble": op.inv.Name, "keys": lines})
			return nil
		}
		if len(lines) == 0 {
			fmt.Fprintln(op.out.stdout, "no host has a key, or lets somebody in by one")
			return nil
		}
		w := tabwriter.NewWriter(op.out.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "HOST\tKEY\tTYPE\tFINGERPRINT\tCOMMENT")
		for _, l := range lines {
			key := l.Key
			if l.InUse {
				key += ", in use"
			}
			if len(l.Options) > 0 {
				key += ", restricted"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Host, key, strings.TrimPrefix(l.Type, "ssh-"), l.Fingerprint, l.Comment)
		}
		return w.Flush()
	})
}

func keyLines(all []provision.HostKeys) []keyLine {
	lines := []keyLine{}
	for _, k := range all {
		name := k.Host.Name
		if own := k.Current(); own != nil {
			lines = append(lines, lineOf(name, "own", own.Public))
		}
		for _, line := range sshkeys.ReadAuthorized(k.Observed.Authorized.Content) {
			l := lineOf(name, "foreign", line.PublicKey)
			l.Options, l.InUse = line.Options, k.InUse(line)
			if slices.ContainsFunc(k.Allowed, line.Same) {
				l.Key = "allowed"
			}
			for _, other := range all {
				if own := other.Current(); own != nil && own.Public.Same(line.PublicKey) {
					l.Key = "member " + other.Host.Name
				}
			}
			lines = append(lines, l)
		}
	}
	return lines
}

func lineOf(host, key string, k sshkeys.PublicKey) keyLine {
	return keyLine{Host: host, Key: key, Type: k.Type(), Fingerprint: k.Fingerprint(), Comment: k.Comment()}
}

func keysSync(op *operation) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		if err := run.SyncKeys(ctx); err != nil {
			return err
		}
		return keysDone(run, op.out, "the keys are exchanged")
	})
}

func keysRotate(op *operation) error {
	out := op.out
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		rotated, err := run.RotateKeys(ctx, names)
		if err != nil {
			return err
		}
		if run.DryRun {
			return keysDone(run, out, "")
		}
		out.clear()
		if out.json {
			out.line(map[string]any{"kind": "rotation", "keys": rotated})
			return nil
		}
		out.times(run.Times())
		for _, k := range rotated {
			fmt.Fprintf(out.stdout, "%s: %s replaced by %s\n", k.Host, k.Old, k.New)
		}
		return nil
	})
}

func keysRevoke(c *cli.Context) error {
	if !c.Args().Present() {
		return usage("keys revoke needs the keys: fingerprints, comments, or files of public keys")
	}
	op, err := openFlagged(c)
	if err != nil {
		return err
	}
	names, err := op.limit()
	if err != nil {
		return err
	}
	where := "all hosts"
	if len(names) > 0 {
		where = strings.Join(names, ", ")
	}
	ids := c.Args().Slice()
	if !c.Bool("yes") && !c.Bool("dry-run") {
		what := fmt.Sprintf("take %s out of authorized_keys of %s", strings.Join(ids, ", "), where)
		if err := ask(c.Context, op.out.stderr, "to "+what, what+"?"); err != nil {
			return err
		}
	}
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		if _, err := run.RevokeKeys(ctx, ids); err != nil {
			return err
		}
		return keysDone(run, op.out, "taken out of authorized_keys, every login proved")
	})
}
