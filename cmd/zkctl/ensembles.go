package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/spelling"
)

// ensembleFlag chooses where an inventory has several ensembles.
func ensembleFlag() cli.Flag {
	return &cli.StringFlag{Name: "ensemble", Usage: "the ensemble of this `NAME`, where the inventory has several"}
}

// allEnsembles is the flag of verbs that go over all ensembles, but not unasked.
const allEnsembles = "all-ensembles"

// choose returns the ensemble of --ensemble; without that the only one there is.
func choose(c *cli.Context, path string, all []*inventory.Inventory) (*inventory.Inventory, error) {
	name := c.String("ensemble")
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	names := ensembleNames(all)
	if name == "" {
		several := &inventory.SeveralError{Path: path, Names: names}
		hint := several.Hint()
		if slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), allEnsembles) }) {
			hint += ", or take one after the other with --" + allEnsembles
		}
		return nil, &usageError{several.Error(), hint}
	}
	i := slices.Index(names, name)
	if i < 0 {
		return nil, usage("%s has no ensemble %q%s", path, name, meant(name, names))
	}
	return all[i], nil
}

func ensembleNames(all []*inventory.Inventory) []string {
	names := make([]string, len(all))
	for i, inv := range all {
		names[i] = inv.Name
	}
	return names
}

// meant says which word was probably meant, or which there are.
func meant(word string, words []string) string {
	if near := spelling.Nearest(word, words); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; there are " + strings.Join(words, ", ")
}
