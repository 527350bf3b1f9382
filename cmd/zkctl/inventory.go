package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
)

func inventoryCommand() *cli.Command {
	return &cli.Command{
		Name: "inventory", Usage: "write a first inventory, take one over from another tool, or check one",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "write an inventory of the given hosts to stdout", ArgsUsage: "[NAME=]ADDRESS...",
				Description: "zkctl inventory init master=10.0.0.11 slave1=10.0.0.12 slave2=10.0.0.13 > inventory.yaml",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "name", Value: "ensemble", Usage: "`NAME` of the ensemble"},
					&cli.StringFlag{Name: "ssh-user", Value: "root", Usage: "`USER` to log in as"},
				},
				Action: inventoryInit,
			},
			importCommand(),
			{
				Name: "schema", Usage: "write the JSON schema of inventories, for editors",
				Description: `zkctl inventory schema > inventory.schema.json, and as the first line of an inventory:
# yaml-language-server: $schema=inventory.schema.json`,
				Action: func(c *cli.Context) error {
					_, err := c.App.Writer.Write(inventory.Schema())
					return err
				},
			},
			{
				Name: "validate", Usage: "check an inventory; every problem is shown with its place", ArgsUsage: "[INVENTORY]",
				Description: "   zkctl inventory validate\n   zkctl inventory validate inventories/      # all files of a directory",
				Flags:       flagsFor(),
				Action:      each(inventoryValidate),
			},
		},
	}
}

func inventoryInit(c *cli.Context) error {
	if !c.Args().Present() {
		return usage("inventory init needs the hosts: [NAME=]ADDRESS...")
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# An ensemble for zkctl. inventory.example.yaml of the zkctl sources explains every key.
name: %s
ssh:
  user: %s
  host_key_policy: accept-new    # strict | ask | accept-new | off
become:
  method: auto                   # sudo, or doas, unless the user is root
system:                          # what happens to the hosts themselves; leave: do not touch
  ssh_keys: manage               # manage | exclusive | leave
  hosts_file: manage             # manage | leave
  firewall: disable              # disable | open-ports | trust-peers | leave
  selinux: disabled              # disabled | permissive | leave
hosts:
`, c.String("name"), c.String("ssh-user"))
	args := c.Args().Slice()
	given := map[string]bool{}
	for _, arg := range args {
		if name, _, named := strings.Cut(arg, "="); named || net.ParseIP(arg) == nil {
			name, _, _ = strings.Cut(name, ".")
			given[strings.ToLower(name)] = true
		}
	}
	for i, arg := range args {
		name, address, named := strings.Cut(arg, "=")
		switch {
		case named:
		case net.ParseIP(arg) == nil:
			address = arg
			name, _, _ = strings.Cut(arg, ".")
		default:
			address = arg
			for n := i + 1; ; n++ {
				if name = fmt.Sprintf("zk%d", n); !given[name] {
					break
				}
			}
			given[name] = true
		}
		fmt.Fprintf(&b, "  - {name: %s, address: %q, id: %d}\n", name, address, i+1)
	}
	inv, err := inventory.Parse("(new inventory)", []byte(b.String()))
	if err != nil {
		return err
	}
	for _, w := range inv.Warnings {
		fmt.Fprintf(c.App.ErrWriter, "zkctl: warning: %s\n", w.Text)
	}
	_, err = fmt.Fprint(c.App.Writer, b.String())
	return err
}

func inventoryValidate(op *operation) error {
	out, inv := op.out, op.inv
	for _, w := range inv.Warnings {
		fmt.Fprintf(out.stderr, "zkctl: warning: %v\n", w)
	}
	looked := map[string]bool{}
	for _, h := range inv.Hosts {
		for _, file := range h.SSH.IdentityFiles {
			if looked[file] || h.Connection != inventory.OverSSH {
				continue
			}
			looked[file] = true
			if _, err := os.Stat(file); err != nil {
				fmt.Fprintf(out.stderr, "zkctl: warning: identity file: %v\n", err)
			}
		}
	}
	if out.json {
		out.line(map[string]any{"kind": "inventory", "name": inv.Name, "hosts": len(inv.Hosts), "voters": inv.Voters(), "connect": inv.ConnectString()})
		return nil
	}
	fmt.Fprintf(out.stdout, "%s: %s with %s, %d of them voters; clients connect to %s\n", inv.File, inv.Name, counted(len(inv.Hosts), "host"),
		inv.Voters(), inv.ConnectString())
	return nil
}
