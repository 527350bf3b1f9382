package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
)

// ensembleFlag chooses where an inventory has several ensembles.
func ensembleFlag() cli.Flag {
	return &cli.StringFlag{Name: "ensemble", Usage: "the ensemble of this `NAME`, where the inventory has several"}
}

// choose returns the ensemble of the name; without a name the only one there is.
func choose(path, name string, all []*inventory.Inventory) (*inventory.Inventory, error) {
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	several := &inventory.SeveralError{Path: path}
	for _, inv := range all {
		several.Names = append(several.Names, inv.Name)
	}
	if name == "" {
		return nil, &usageError{several.Error(), several.Hint()}
	}
	i := slices.Index(several.Names, name)
	if i < 0 {
		return nil, usage("%s has no ensemble %q; there are %s", path, name, strings.Join(several.Names, ", "))
	}
	return all[i], nil
}
