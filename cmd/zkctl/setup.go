package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/remote"
)

// flagsFor are the flags of a verb: those for finding the inventory and shaping the output, then the given ones.
func flagsFor(more ...[]cli.Flag) []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "inventory", Aliases: []string{"i"}, EnvVars: []string{"ZKCTL_INVENTORY"}, Usage: "inventory `FILE` (default: ./inventory.yaml)"},
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
	return []cli.Flag{
		&cli.IntFlag{Name: "parallel", Aliases: []string{"p"}, Value: 10, Usage: "work on `N` hosts at a time"},
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "show what would be done and change nothing on any host"},
		&cli.DurationFlag{Name: "connect-timeout", Usage: "`TIME` for connecting to a host and logging in", DefaultText: "the inventory's, 10s"},
		&cli.DurationFlag{Name: "wait-timeout", Value: 2 * time.Minute, Usage: "`TIME` for members to serve after they were started"},
		&cli.DurationFlag{Name: "deadline", Value: 5 * time.Second, Usage: "`TIME` for each look at all members"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show each host in each step, with times"},
		&cli.StringFlag{Name: "ssh-user", Usage: "log in as `USER` instead of the inventory's"},
		&cli.StringSliceFlag{Name: "ssh-key", Usage: "log in with the key in `FILE` instead of the inventory's (repeatable)"},
		&cli.BoolFlag{Name: "ask-pass", Usage: "ask for the password to log in with"},
		&cli.BoolFlag{Name: "ask-become-pass", Usage: "ask for the password of sudo"},
		&cli.StringFlag{Name: "host-key-policy", Usage: "`POLICY` for host keys instead of the inventory's: strict, accept-new or off"},
		&cli.StringSliceFlag{Name: "known-hosts", Usage: "known_hosts `FILE` instead of the inventory's (repeatable)"},
	}
}

// chosenFlag is that of verbs that work on some members.
func chosenFlag() []cli.Flag {
	return []cli.Flag{&cli.StringSliceFlag{Name: "host", Usage: "this member only, by `NAME` (repeatable)"}}
}

const writeOne = "`zkctl inventory init HOST... > inventory.yaml` writes one"

// load reads the inventory: the argument, else the flag or environment, else ./inventory.yaml.
func load(c *cli.Context) (*inventory.Inventory, error) {
	if c.NArg() > 1 {
		return nil, usage("one inventory at most, not %s", strings.Join(c.Args().Slice(), " "))
	}
	path := c.Args().First()
	if path == "" {
		path = c.String("inventory")
	}
	if path == "" {
		path = "inventory.yaml"
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, &usageError{"no inventory: neither as argument, nor with -i, nor in ZKCTL_INVENTORY, nor as ./inventory.yaml", writeOne}
		}
	}
	return loadFile(path)
}

// loadFile reads an inventory and says what is wrong with it.
func loadFile(path string) (*inventory.Inventory, error) {
	inv, err := inventory.Load(path)
	var problems inventory.Problems
	if errors.Is(err, os.ErrNotExist) {
		return nil, &usageError{err.Error(), writeOne}
	}
	if err != nil && !errors.As(err, &problems) {
		return nil, usage("%v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the inventory has %s:\n%w", counted(len(problems), "problem"), err)
	}
	return inv, nil
}

// withTimeout bounds a context by --timeout.
func withTimeout(c *cli.Context) (context.Context, context.CancelFunc) {
	if limit := c.Duration("timeout"); limit > 0 {
		return context.WithTimeoutCause(c.Context, limit, errTimeout)
	}
	return context.WithCancel(c.Context)
}

// newRun prepares an operation from the command line. end must be called when it is over.
func newRun(c *cli.Context, inv *inventory.Inventory, out *output) (run *provision.Run, end func(), err error) {
	unlock := func() {}
	if !c.Bool("dry-run") {
		if unlock, err = lock(inv); err != nil {
			return nil, nil, err
		}
	}
	if run, err = prepare(c, inv, out); err != nil {
		unlock()
		return nil, nil, err
	}
	return run, func() { run.Close(); unlock() }, nil
}

func prepare(c *cli.Context, inv *inventory.Inventory, out *output) (*provision.Run, error) {
	for i := range inv.Hosts {
		if err := override(c, &inv.Hosts[i]); err != nil {
			return nil, err
		}
	}
	for _, w := range inv.Warnings {
		fmt.Fprintf(out.stderr, "zkctl: warning: %v\n", w)
	}
	secrets := &secrets{}
	if err := secrets.ask(inv); err != nil {
		return nil, err
	}
	out.began = time.Now() // typing takes no time of the operation
	return &provision.Run{
		Inventory:    inv,
		Connect:      func(h inventory.Host) (remote.Host, error) { return connect(h, secrets) },
		Programs:     programs(c.String("server-binary")),
		Version:      version,
		Probe:        provision.FourLetterProbe,
		Canary:       provision.Canary,
		Parallel:     c.Int("parallel"),
		ReadyTimeout: c.Duration("wait-timeout"),
		Deadline:     c.Duration("deadline"),
		DryRun:       c.Bool("dry-run"),
		Report:       out.event,
	}, nil
}

// override lets flags win over the inventory.
func override(c *cli.Context, h *inventory.Host) error {
	if u := c.String("ssh-user"); u != "" {
		h.SSH.User = u
	}
	if keys := c.StringSlice("ssh-key"); len(keys) > 0 {
		h.SSH.IdentityFiles = keys
	}
	if files := c.StringSlice("known-hosts"); len(files) > 0 {
		h.SSH.KnownHosts = files
	}
	switch p := c.String("host-key-policy"); p {
	case "":
	case "strict", "accept-new", "off":
		h.SSH.HostKeyPolicy = p
	default:
		return usage("--host-key-policy: %q is none of strict, accept-new, off", p)
	}
	if d := c.Duration("connect-timeout"); d > 0 {
		h.SSH.ConnectWait = d
	}
	if c.Bool("ask-pass") {
		h.SSH.Password = inventory.Secret{Prompt: true}
	}
	if c.Bool("ask-become-pass") {
		h.Become.Password = inventory.Secret{Prompt: true}
	}
	return nil
}

// connect makes the connection to a host, which is dialled at its first use.
func connect(h inventory.Host, s *secrets) (remote.Host, error) {
	become := remote.Become{None: h.Become.Method == "none", Password: s.reader(sudoPassword(h), h.Become.Password)}
	if h.Connection == inventory.Local {
		return remote.NewLocal(h.Name, become), nil
	}
	cfg := remote.SSHConfig{
		Name: h.Name, Address: h.Address, Port: h.SSH.Port, User: h.SSH.User,
		IdentityFiles: h.SSH.IdentityFiles, Password: s.reader(sshPassword(h), h.SSH.Password),
		HostKeys: remote.HostKeyPolicy(h.SSH.HostKeyPolicy), KnownHosts: h.SSH.KnownHosts,
		Become: become, ConnectTimeout: h.SSH.ConnectWait,
	}
	if h.SSH.Agent {
		cfg.AgentSocket = os.Getenv("SSH_AUTH_SOCK")
	}
	if !h.SSH.Passphrase.IsZero() {
		cfg.Passphrase = func(file string) ([]byte, error) {
			phrase, err := s.reader("passphrase of "+file, h.SSH.Passphrase)()
			return []byte(phrase), err
		}
	}
	return remote.NewSSH(cfg)
}

// programs finds what is pushed: the named binary, else the inventory's, else the bundled one.
func programs(flag string) func(inventory.Host, string) (bundle.Program, bundle.Program, error) {
	return func(h inventory.Host, arch string) (server, client bundle.Program, err error) {
		file := flag
		if file == "" {
			file = h.Server.File
		}
		if file == "" {
			if v := h.Server.Version; v != "bundled" && v != version {
				return server, client, usage("the inventory wants server version %s; this zkctl brings %s (give server.file)", v, version)
			}
			server, err = bundle.Server(arch)
			if err == nil {
				client, err = bundle.Client(arch)
			}
			if errors.Is(err, bundle.ErrMissing) {
				err = usage("this zkctl carries no %v: build it with `make build`, or give --server-binary FILE", err)
			}
			return server, client, err
		}
		if server, err = executable("zkserver", file, arch); err != nil {
			return server, client, err
		}
		if v := h.Server.Version; v != "bundled" {
			out, _ := exec.Command(file, "--version").Output()
			if !strings.Contains(string(out), v) {
				return server, client, usage("%s says that it is %q; the inventory wants version %s", file, bytes.TrimSpace(out), v)
			}
		}
		client, err = executable("zkcli", filepath.Join(filepath.Dir(file), "zkcli"), arch)
		if errors.Is(err, os.ErrNotExist) {
			client, err = bundle.Client(arch)
		}
		if err != nil {
			err = fmt.Errorf("zkcli, the client for the host, is neither beside %s nor bundled: %w", file, err)
		}
		return server, client, err
	}
}

// executable reads a Linux program for the architecture.
func executable(name, file, arch string) (bundle.Program, error) {
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
	return bundle.New(name, data), nil
}
