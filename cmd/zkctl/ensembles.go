package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
)

// ensembleFlag chooses where an inventory has several ensembles.
func ensembleFlag() cli.Flag {
	return &cli.StringFlag{Name: "ensemble", Usage: "the ensemble of this `NAME`, where the inventory has several"}
}

// inventoryPath is the inventory of a command line: the argument, else the flag or environment, else ./inventory.yaml.
func inventoryPath(c *cli.Context) string {
	if c.Args().Present() {
		return c.Args().First()
	}
	if path := c.String("inventory"); path != "" {
		return path
	}
	return "inventory.yaml"
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

// forEachEnsemble makes a verb that looks or converges, and so may go over several ensembles, do so one after the other.
// The others want one to be chosen.
func forEachEnsemble(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.String("ensemble") != "" || c.Bool("watch") || c.NArg() > 1 {
			return action(c)
		}
		path := inventoryPath(c)
		if _, err := os.Stat(path); err != nil {
			return action(c) // which says so
		}
		all, err := loadOptions(c).LoadAll(path)
		if err != nil || len(all) == 1 {
			return action(c)
		}
		var errs []error
		var unhealthy error // said by the output, and by the exit code where nothing worse happened
		for _, inv := range all {
			if err := c.Set("ensemble", inv.Name); err != nil {
				return err
			}
			fmt.Fprintf(c.App.ErrWriter, "zkctl: ensemble %s\n", inv.Name)
			err := action(c)
			endTrail(c, err)
			switch {
			case err == nil:
			case errors.Is(err, errInterrupted):
				return err
			case silentError(err):
				unhealthy = err
			default:
				errs = append(errs, fmt.Errorf("ensemble %s: %w", inv.Name, err))
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		return unhealthy
	}
}
