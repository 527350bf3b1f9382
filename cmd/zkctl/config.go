package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "print the zoo.cfg that each member is to have", ArgsUsage: "[INVENTORY]",
		Description: `What the inventory means, without a look at any host; passwords are shown as stars. zkctl plan shows how that differs from what
the hosts have.

   zkctl config --limit zk1
   zkctl config --json | jq -r .config`,
		Flags:  flagsFor(limitFlags(), sshFlags()),
		Action: each(runConfig),
	}
}

func runConfig(op *operation) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	first := true
	for _, h := range op.inv.Hosts {
		if len(names) > 0 && !slices.Contains(names, h.Name) {
			continue
		}
		path, text, leftOut, err := provision.Config(op.inv, h)
		if err != nil {
			return err
		}
		if op.out.json {
			op.out.line(struct {
				Kind    string   `json:"kind"`
				Host    string   `json:"host"`
				Path    string   `json:"path"`
				Config  string   `json:"config"`
				LeftOut []string `json:"left_out,omitempty"`
			}{"config", h.Name, path, string(text), leftOut})
			continue
		}
		if !first {
			fmt.Fprintln(op.out.stdout)
		}
		first = false
		fmt.Fprintf(op.out.stdout, "# %s:%s\n%s", h.Name, path, text)
		for _, why := range leftOut {
			fmt.Fprintf(op.out.stderr, "zkctl: %s: %s\n", h.Name, why)
		}
	}
	return nil
}
