package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
)

func certsCommand() *cli.Command {
	return &cli.Command{
		Name: "certs", Usage: "make, show and rotate the certificates for TLS: init, show, rotate, client",
		Description: `The section tls of the inventory says who speaks TLS; zkctl apply switches it on and off by rolling restarts, without downtime.

   zkctl certs init           # once: an authority on this machine
   edit inventory.yaml        # tls: {client: optional, quorum: on}
   zkctl plan && zkctl apply  # certificates, then as many rounds of restarts as it takes
   zkctl certs show`,
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make a certificate authority on this machine, and certificates for the hosts", ArgsUsage: "[INVENTORY]",
				Description: `The authority is kept in ENSEMBLE/tls below the state directory, readable by you alone; its key is encrypted if the
inventory gives tls.passphrase. To work from another machine, copy that directory. Hosts that have the server already get
their certificates now, others from zkctl bootstrap. The private keys of hosts are made on the hosts and never leave them.
What is there is kept: run again, it adds what is missing. Where hosts have certificates by an authority that is not on this
machine, it refuses.

   zkctl certs init inventory.yaml
   scp -rp ~/.local/state/zkctl/lab/tls laptop2:.local/state/zkctl/lab/   # to go on from there`,
				Flags:  flagsFor(hostFlags()),
				Action: one(certsInit),
			},
			{
				Name: "show", Usage: "show the certificates on the hosts: for whom, by whom, until when", ArgsUsage: "[INVENTORY]",
				Description: "   zkctl certs show\n   zkctl certs show --json | jq '.certificates[] | select(.days_left < 30) | .host'",
				Flags:       flagsFor(hostFlags(), limitFlag()),
				Action:      each(certsShow),
			},
			{
				Name: "rotate", Usage: "give hosts new keys and certificates, without a restart", ArgsUsage: "[INVENTORY]",
				Description: `One host after the other: a new key, made there; a certificate for it, put in place; a handshake with the running member, which
must show the new one. What does not come to be so is taken back, and ends the rotation (exit code 8 where others are through);
run it again to go on with the hosts that are left. With tls.ca: files, the certificates are those of the files.

With --ca the authority is replaced, too: all members trust both, get certificates by the new one, then trust that alone.
It is one run: clients that trust the old authority alone need the new ENSEMBLE/tls/ca.pem (below the state directory) at that
moment, and those with certificates new ones (zkctl certs client) when it is through, or they cannot connect anew.

   zkctl certs rotate
   zkctl certs rotate --limit zk2
   zkctl certs rotate --ca`,
				Flags: flagsFor(hostFlags(), limitFlag(), []cli.Flag{
					&cli.BoolFlag{Name: "ca", Usage: "replace the authority, too"},
				}),
				Action: one(certsRotate),
			},
			{
				Name: "client", Usage: "make a key and a certificate for a client", ArgsUsage: "NAME",
				Description: `Both are in one file (PEM), which only you can read: by default NAME.pem here. To the ensemble the client is x509:CN=NAME,O=ENSEMBLE.
It trusts ENSEMBLE/tls/ca.pem below the state directory. What was issued is taken back by zkctl certs rotate --ca alone.

   zkctl certs client billing -i inventory.yaml
   zkctl certs client billing --out /run/secrets/billing.pem`,
				Flags: flagsFor(hostFlags(), []cli.Flag{
					&cli.StringFlag{Name: "out", Usage: "write it to `FILE`, which must not be there yet", DefaultText: "NAME.pem"},
				}),
				Action: certsClient,
			},
		},
	}
}

// issuesToAll refuses what is about certificates of the hosts where members have no use for them.
func (op *operation) issuesToAll() error {
	for _, h := range op.inv.Hosts {
		if h.Server.Kind == inventory.Apache {
			return usage("%s: %s is to run Apache ZooKeeper (server.kind), which gets no certificates from zkctl: its own settings of TLS go in zoo_cfg_extra",
				op.inv.File, h.Name)
		}
	}
	return nil
}

func certsInit(op *operation) error {
	if err := op.issuesToAll(); err != nil {
		return err
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		if op.inv.Hosts[0].TLS.Authority != "own" {
			return usage("%s says tls.ca: files: there is no authority to make", op.inv.File)
		}
		err := run.InitCertificates(ctx)
		op.out.clear()
		if err != nil {
			op.out.times(run.Times())
			return err
		}
		if op.out.json {
			op.out.line(map[string]any{"kind": "certificates", "authority": run.Authority.Dir, "changes": run.Changes(), "dry_run": run.DryRun})
			return nil
		}
		switch {
		case run.Changes() == 0:
			fmt.Fprintln(op.out.stdout, "nothing to do")
		case run.DryRun:
			fmt.Fprintf(op.out.stdout, "%s to make; nothing was changed\n", counted(run.Changes(), "change"))
		default:
			fmt.Fprintf(op.out.stdout, "%s; the authority is in %s: keep a copy of it\n", counted(run.Changes(), "change"), run.Authority.Dir)
		}
		if !op.inv.Hosts[0].TLS.On() {
			fmt.Fprintf(op.out.stdout, "next                 tls: {client: optional, quorum: on} in %s, then %s\n", op.inv.File, op.commandLine("apply"))
		}
		return nil
	})
}

func certsClient(c *cli.Context) error {
	name := c.Args().First()
	if c.NArg() != 1 || strings.ContainsAny(name, "/\\") {
		return usage("certs client needs one NAME, the client's")
	}
	op, err := openFlagged(c)
	if err != nil {
		return err
	}
	if op.inv.Hosts[0].TLS.Authority != "own" {
		return usage("%s says tls.ca: files: there is no authority to issue by", op.inv.File)
	}
	file := c.String("out")
	if file == "" {
		file = name + ".pem"
	}
	return op.change(func(_ context.Context, run *provision.Run) error {
		if err := run.IssueClient(name, file); err != nil {
			return err
		}
		if op.out.json {
			op.out.line(map[string]any{"kind": "client", "name": name, "file": file, "dry_run": run.DryRun})
		}
		return nil
	})
}

// certificateLine is one certificate in the output of certs show.
type certificateLine struct {
	// Host is "authority" and "zkctl" for those on this machine.
	Host        string    `json:"host"`
	Subject     string    `json:"subject"`
	Names       []string  `json:"names"`
	Issuer      string    `json:"issuer"`
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    int       `json:"days_left"`
	Fingerprint string    `json:"fingerprint"`
	// Trusted says that the host's own trust store has the issuer.
	Trusted bool `json:"trusted"`
}

func certificateLineOf(host string, c *x509.Certificate, trusted bool, now time.Time) certificateLine {
	return certificateLine{host, c.Subject.String(), append([]string{}, certs.Hosts(c)...), c.Issuer.String(), c.NotAfter.UTC(), certs.DaysLeft(c, now), certs.Fingerprint(c), trusted}
}

func certsShow(op *operation) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.look(func(ctx context.Context, run *provision.Run) error {
		all, missing, err := run.Certificates(ctx, names)
		op.out.clear()
		if err != nil {
			return err
		}
		now := time.Now()
		lines := []certificateLine{}
		var without []string
		for _, c := range all {
			if c.Leaf == nil {
				without = append(without, c.Host.Name)
				continue
			}
			lines = append(lines, certificateLineOf(c.Host.Name, c.Leaf, c.Trusted, now))
		}
		if op.inv.Hosts[0].TLS.Authority == "own" && run.Authority.Exists() {
			if own, err := run.Authority.Client(); err == nil {
				lines = append(lines, certificateLineOf("zkctl", own.Leaf, true, now))
			}
			authorities, err := run.Authority.Certificates()
			if err != nil {
				return err
			}
			for _, c := range authorities {
				lines = append(lines, certificateLineOf("authority", c, true, now))
			}
		}
		if op.out.json {
			op.out.line(map[string]any{"kind": "certificates", "ensemble": op.inv.Name, "certificates": lines, "without": append([]string{}, without...)})
			return missing
		}
		t := plainTable()
		t.AppendHeader(table.Row{"host", "subject", "names", "issuer", "not after", "days", "sha256"})
		for _, l := range lines {
			issuer := l.Issuer
			if !l.Trusted {
				issuer += " (not trusted there)"
			}
			t.AppendRow(table.Row{l.Host, l.Subject, strings.Join(l.Names, " "), issuer, l.NotAfter.Format(time.DateOnly), l.DaysLeft, l.Fingerprint[:16]})
		}
		if len(lines) > 0 {
			fmt.Fprintln(op.out.stdout, rendered(t))
		}
		if len(without) > 0 {
			fmt.Fprintf(op.out.stdout, "no certificate: %s\n", strings.Join(without, ", "))
		}
		return missing
	})
}

func certsRotate(op *operation) error {
	if op.Bool("ca") && len(op.StringSlice("limit")) > 0 {
		return usage("--ca is about all hosts: leave --limit away")
	}
	if err := op.issuesToAll(); err != nil {
		return err
	}
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		rotated, err := run.RotateCertificates(ctx, names, op.Bool("ca"))
		op.out.clear()
		if err != nil {
			return err
		}
		switch {
		case op.out.json:
			op.out.line(map[string]any{"kind": "rotation", "certificates": append([]provision.RotatedCertificate{}, rotated...), "changes": run.Changes(), "dry_run": run.DryRun})
		case run.DryRun:
			fmt.Fprintf(op.out.stdout, "%s to make; nothing was changed\n", counted(run.Changes(), "change"))
		case len(rotated) == 0 && run.Changes() == 0:
			fmt.Fprintln(op.out.stdout, "nothing to do")
		default:
			op.out.times(run.Times())
			for _, c := range rotated {
				proof := "in use, proved by a handshake"
				if !c.Proved {
					proof = "in place; the member does not run or speaks no TLS"
				}
				fmt.Fprintf(op.out.stdout, "%s: %.16s replaced by %.16s, until %s: %s\n", c.Host, c.Old, c.New, c.NotAfter.UTC().Format(time.DateOnly), proof)
			}
		}
		return nil
	})
}
