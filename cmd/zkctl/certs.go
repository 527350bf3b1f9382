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
machine, it refuses. With --limit the chosen hosts get certificates; the authority is that of all.

   zkctl certs init inventory.yaml
   zkctl certs init --limit '!zk3'        # while zk3 is away
   scp -rp ~/.local/state/zkctl/lab/tls laptop2:.local/state/zkctl/lab/   # to go on from there`,
				Flags:  flagsFor(hostFlags(), dryRunFlag(), limitFlags()),
				Action: one(certsInit),
			},
			{
				Name: "show", Usage: "show the certificates on the hosts: for whom, by whom, until when", ArgsUsage: "[INVENTORY]",
				Description: "   zkctl certs show\n   zkctl certs show --json | jq '.certificates[] | select(.days_left < 30) | .host'",
				Flags:       flagsFor(hostFlags(), limitFlags()),
				Action:      each(certsShow),
			},
			{
				Name: "rotate", Usage: "give hosts new keys and certificates, without a restart", ArgsUsage: "[INVENTORY]",
				Description: `One host after the other: a new key, made there; a certificate for it, put in place; a handshake with the running member, which
must show the new one. What does not come to be so is taken back, and ends the rotation (exit code 8 where others are through);
run it again to go on with the hosts that are left. With tls.ca: files, the certificates are those of the files.

With --ca the authority is replaced, in two calls. The first one makes the next authority and has all members trust both; their
certificates stay, and nobody notices. Then bring clients along: ENSEMBLE/tls/bundle.pem (below the state directory) has both
authorities for them to trust, and those with certificates get new ones by the next authority (zkctl certs client). The second
call, with --finish, gives members certificates by the next authority and then has them trust that alone: who was not brought
along cannot connect anew from then on. Each can be called again if it was cut off; zkctl certs show says how far it is.

Until the second call is through, --cancel takes it all back: members trust the present authority alone again, and those that were
given certificates by the next one get others. What clients got by it meanwhile is good for nothing then.

Where the key of the authority is lost, or was never zkctl's (tls.ca was files), --take-over begins with whom the hosts trust.
--limit does not go with --ca: members of one ensemble have to trust the same authorities.

   zkctl certs rotate
   zkctl certs rotate --limit zk2
   zkctl certs rotate --ca            # give bundle.pem to clients, then
   zkctl certs rotate --ca --finish   # or --cancel`,
				Flags: flagsFor(hostFlags(), dryRunFlag(), limitFlags(), []cli.Flag{
					&cli.BoolFlag{Name: "ca", Usage: "begin to replace the authority: have members trust the next one, too"},
					&cli.BoolFlag{Name: "finish", Usage: "with --ca: go over to the next authority, and forget the one of before"},
					&cli.BoolFlag{Name: "cancel", Usage: "with --ca: stay with the present authority, and forget the next one"},
					&cli.BoolFlag{Name: "take-over", Usage: "with --ca: begin without the key of the present authority, with whom the hosts trust"},
				}),
				Action: one(certsRotate),
			},
			{
				Name: "client", Usage: "make a key and a certificate for a client", ArgsUsage: "NAME",
				Description: `Both are in one file (PEM), which only you can read: by default NAME.pem here. Beside it is NAME.ca.pem, the authority that the client
is to trust. To the ensemble the client is x509:CN=NAME,O=ENSEMBLE. While the authority is being replaced, the certificate is by the
next one, and NAME.ca.pem has both. What was issued is taken back by zkctl certs rotate --ca and --finish alone. There is no --limit:
all members let the client in.

   zkctl certs client billing -i inventory.yaml
   zkctl certs client billing --out /run/secrets/billing.pem`,
				Flags: flagsFor([]cli.Flag{stateFlag()}, dryRunFlag(), []cli.Flag{
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
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		if op.inv.Hosts[0].TLS.Authority != "own" {
			return usage("%s says tls.ca: files: there is no authority to make", op.inv.File)
		}
		run.Limit = names
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
	if c.NArg() != 1 || name == "" || strings.ContainsAny(name, "/\\") {
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
	trust := strings.TrimSuffix(file, ".pem") + ".ca.pem"
	return op.change(func(_ context.Context, run *provision.Run) error {
		if err := run.IssueClient(name, file, trust); err != nil {
			return err
		}
		if op.out.json {
			op.out.line(map[string]any{"kind": "client", "name": name, "file": file, "trust_file": trust, "dry_run": run.DryRun})
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
		phase := run.Phase(all)
		if op.out.json {
			shown := map[string]any{"kind": "certificates", "ensemble": op.inv.Name, "certificates": lines, "without": append([]string{}, without...)}
			if phase != provision.Unchanging {
				shown["change"] = map[string]any{"phase": phase, "next": phase.Next(), "bundle": run.Authority.Bundle()}
			}
			op.out.line(shown)
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
		fmt.Fprint(op.out.stdout, changeText(phase, run.Authority))
		return missing
	})
}

// changeText says how far a change of the authority is, and what comes next.
func changeText(phase provision.Phase, authority *certs.Store) string {
	var text, clients, back string
	if authority.HasKey() {
		back = "take it back         " + provision.CancelCommand + "\n"
	}
	switch phase {
	case provision.Unchanging:
		return ""
	case provision.Begun:
		text = "members are coming to trust the next one, too"
	case provision.BothTrusted:
		text = "members trust both, and show certificates by the present one"
		clients = "clients              give them " + authority.Bundle() + " to trust, and to those with certificates new ones (zkctl certs client)\n"
	case provision.Finishing:
		text = "members are getting certificates by the next one"
	}
	return fmt.Sprintf("the authority        is being replaced: %s\n%snext                 %s\n%s", text, clients, phase.Next(), back)
}

func certsRotate(op *operation) error {
	ca, finish, cancel, takeOver := op.Bool("ca"), op.Bool("finish"), op.Bool("cancel"), op.Bool("take-over")
	switch {
	case ca && len(op.StringSlice("limit")) > 0:
		return usage("--limit does not go with --ca: members of one ensemble have to trust the same authorities")
	case (finish || cancel || takeOver) && !ca:
		return usage("--finish, --cancel and --take-over go with --ca: they are about the authority")
	case finish && cancel:
		return usage("--finish goes over to the next authority, --cancel stays with the present one")
	case takeOver && (finish || cancel):
		return usage("--take-over is for the beginning, --finish and --cancel are for the end")
	}
	if err := op.issuesToAll(); err != nil {
		return err
	}
	if ca && !finish && !cancel {
		return beginAuthority(op, takeOver)
	}
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		var rotated []provision.RotatedCertificate
		var err error
		switch {
		case finish:
			rotated, err = run.FinishAuthority(ctx)
		case cancel:
			rotated, err = run.CancelAuthority(ctx)
		default:
			rotated, err = run.RotateCertificates(ctx, names)
		}
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
			if cancel {
				fmt.Fprintln(op.out.stdout, "the authority        stays; clients that got certificates by the next one need others (zkctl certs client)")
			}
		}
		return nil
	})
}

// beginAuthority is the first half of a change of the authority.
func beginAuthority(op *operation, takeOver bool) error {
	return op.onKeys(func(ctx context.Context, run *provision.Run) error {
		phase, err := run.BeginAuthority(ctx, takeOver)
		op.out.clear()
		if err != nil {
			return err
		}
		switch {
		case op.out.json:
			op.out.line(map[string]any{"kind": "authority", "phase": phase, "next": phase.Next(), "bundle": run.Authority.Bundle(), "changes": run.Changes(), "dry_run": run.DryRun})
		case run.DryRun:
			fmt.Fprintf(op.out.stdout, "%s to make; nothing was changed\n", counted(run.Changes(), "change"))
		default:
			if run.Changes() == 0 {
				fmt.Fprintln(op.out.stdout, "nothing to do")
			}
			op.out.times(run.Times())
			fmt.Fprint(op.out.stdout, changeText(phase, run.Authority))
		}
		return nil
	})
}
