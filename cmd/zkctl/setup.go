package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/inventory"
)

// flagsFor are the flags of a verb: those for finding the inventory and shaping the output, then the given ones.
func flagsFor(more ...[]cli.Flag) []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "inventory", Aliases: []string{"i"}, EnvVars: []string{"ZKCTL_INVENTORY"}, Usage: "inventory `FILE`, or a directory of them (default: ./inventory.yaml)"},
		ensembleFlag(),
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORM` of the result: table or json"},
		&cli.BoolFlag{Name: "json", Usage: "the same as --output json"},
		&cli.BoolFlag{Name: "no-color", Usage: "no colours, also on a terminal; the same as a NO_COLOR in the environment"},
		&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`, whatever is under way", DefaultText: "none"},
	}
	for _, m := range more {
		flags = append(flags, m...)
	}
	return flags
}

// hostFlags are those of verbs that log in to hosts.
func hostFlags() []cli.Flag {
	return append([]cli.Flag{
		stateFlag(),
		&cli.IntFlag{Name: "parallel", Aliases: []string{"p"}, Value: 10, Usage: "work on `N` hosts at a time"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show each host in each step, with times"},
		&cli.BoolFlag{Name: "ask-become-pass", Usage: "ask for the password of sudo or doas"},
		&cli.StringFlag{Name: "become-pass-file", Usage: "the password of sudo or doas is the first line of `FILE`"},
	}, sshFlags()...)
}

// dryRunFlag is that of verbs that may change something.
func dryRunFlag() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "show what would be done and change nothing on any host"}}
}

// These are what Run has where a verb has no flag for them.
const (
	usualWait     = 2 * time.Minute
	usualDeadline = 5 * time.Second
)

// waitFlags are those of verbs that start or stop members, and see what becomes of the others.
func waitFlags() []cli.Flag {
	return append(dryRunFlag(), &cli.DurationFlag{Name: "wait-timeout", Value: usualWait, Usage: "`TIME` for members to serve after they were started"})
}

// deadlineFlag is that of verbs that ask members what they do.
func deadlineFlag() cli.Flag {
	return &cli.DurationFlag{Name: "deadline", Value: usualDeadline, Usage: "`TIME` for each look at all members"}
}

// limitFlags are those of verbs that can do without some of the hosts.
func limitFlags() []cli.Flag { return []cli.Flag{deadlineFlag(), limitFlag()} }

func limitFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "limit", Aliases: []string{"host"},
		Usage: "only these `HOSTS`: names, patterns (zk*), voter, observer, leader, follower, @LABEL; ! before one leaves it out (with commas, or repeatable)"}
}

const writeOne = "`zkctl inventory init HOST... > inventory.yaml` writes one"

// theInventory is the inventory of a command line: the argument, else the flag or environment, else ./inventory.yaml.
func theInventory(c *cli.Context) (string, error) {
	switch {
	case c.NArg() > 1:
		return "", usage("one inventory at most, not %s", strings.Join(c.Args().Slice(), " "))
	case c.Args().Present():
		return c.Args().First(), nil
	}
	return flaggedInventory(c)
}

// flaggedInventory is theInventory for verbs with other arguments.
func flaggedInventory(c *cli.Context) (string, error) {
	const usual = "inventory.yaml"
	if path := c.String("inventory"); path != "" {
		return path, nil
	}
	if _, err := os.Stat(usual); errors.Is(err, os.ErrNotExist) {
		return "", &usageError{"no inventory: neither as argument, nor with -i, nor in ZKCTL_INVENTORY, nor as ./" + usual, writeOne}
	}
	return usual, nil
}

// loadAll reads the ensembles of an inventory and says what is wrong with it.
func loadAll(c *cli.Context, path string) ([]*inventory.Inventory, error) {
	all, err := loadOptions(c).LoadAll(path)
	var problems inventory.Problems
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &usageError{err.Error(), writeOne}
	case errors.As(err, &problems):
		return nil, fmt.Errorf("the inventory has %s:\n%w", counted(len(problems), "problem"), err)
	case err != nil:
		return nil, usage("%v", err)
	}
	return all, nil
}

// servers finds what is pushed: the named binary, else the inventory's, else the bundled one.
func servers(flag string) func(inventory.Host, string) (bundle.Program, error) {
	read := readOnce()
	return func(h inventory.Host, arch string) (server bundle.Program, err error) {
		file := flag
		if file == "" {
			file = h.Server.File
		}
		if file == "" {
			if v := h.Server.Version; v != "bundled" && v != version {
				return server, usage("the inventory wants server version %s; this zkctl brings %s (give server.file)", v, version)
			}
			server, err = bundle.Server(arch)
			if errors.Is(err, bundle.ErrMissing) {
				err = usage("this zkctl carries no %v: build it with `make build`, or give --server-binary FILE", err)
			}
			return server, err
		}
		if server, err = read(file, arch); err != nil {
			return server, err
		}
		if v := h.Server.Version; v != "bundled" {
			out, _ := exec.Command(file, "--version").Output()
			if !strings.Contains(string(out), v) {
				return server, usage("%s says that it is %q; the inventory wants version %s", file, bytes.TrimSpace(out), v)
			}
		}
		return server, nil
	}
}

// readOnce is serverIn for many hosts, which share what was read.
func readOnce() func(file, arch string) (bundle.Program, error) {
	var mu sync.Mutex
	read := map[[2]string]bundle.Program{}
	return func(file, arch string) (bundle.Program, error) {
		mu.Lock()
		defer mu.Unlock()
		key := [2]string{file, arch}
		if p, ok := read[key]; ok {
			return p, nil
		}
		p, err := serverIn(file, arch)
		if err == nil {
			read[key] = p
		}
		return p, err
	}
}

// serverIn reads a zkserver for Linux on the architecture. It has to be zkcli as well, which hosts have as a link to it. What a
// Go program is made of can be told by the names of functions in it.
func serverIn(file, arch string) (bundle.Program, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return bundle.Program{}, err
	}
	header, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return bundle.Program{}, usage("%s is no Linux program: %v", file, err)
	}
	machine := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm"}[header.Machine]
	if machine != arch {
		return bundle.Program{}, usage("%s is for %s, the host is %s", file, header.Machine, arch)
	}
	for _, function := range []string{"server.(*Server).", "zkcli.Run"} { // zkctl itself has these words, but not one behind the other
		if !bytes.Contains(data, []byte("github.com/zkctl/zkctl/"+function)) {
			return bundle.Program{}, usage("%s is no zkserver that is also zkcli, the client that hosts get with it: give one built like this zkctl", file)
		}
	}
	return bundle.New(data), nil
}
