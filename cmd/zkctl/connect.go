package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// sshFlags are those about logging in.
func sshFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "connect-timeout", Usage: "`TIME` for connecting to a host and logging in", DefaultText: "the inventory's, 10s"},
		&cli.DurationFlag{Name: "wait-ssh", Usage: "go on for `TIME` where a host does not answer or does not let us in yet, then wait for cloud-init", DefaultText: "the inventory's, none"},
		&cli.StringFlag{Name: "ssh-config", Usage: "ssh_config `FILE` instead of the inventory's; none for no file", DefaultText: "~/.ssh/config, /etc/ssh/ssh_config"},
		&cli.StringFlag{Name: "ssh-user", Usage: "log in as `USER` instead of the inventory's"},
		&cli.StringSliceFlag{Name: "ssh-key", Usage: "log in with the key in `FILE` instead of the inventory's (repeatable)"},
		&cli.StringSliceFlag{Name: "jump", Usage: "go through the jump host `[USER@]HOST[:PORT]` instead of the inventory's (repeatable, in order)"},
		&cli.BoolFlag{Name: "ask-pass", Usage: "ask for the password to log in with"},
		&cli.StringFlag{Name: "host-key-policy", Usage: "`POLICY` for host keys instead of the inventory's: strict, ask, accept-new or off"},
		&cli.StringSliceFlag{Name: "known-hosts", Usage: "known_hosts `FILE` instead of the inventory's (repeatable)"},
	}
}

// loadOptions are the flags that count while an inventory is read.
func loadOptions(c *cli.Context) inventory.Options {
	return inventory.Options{SSHConfig: c.String("ssh-config"), User: c.String("ssh-user"), Jump: c.StringSlice("jump")}
}

// override is that of one host.
func override(c *cli.Context, h *inventory.Host) error {
	switch p := c.String("host-key-policy"); p {
	case "", "strict", "ask", "accept-new", "off":
	default:
		return usage("--host-key-policy: %q is none of strict, ask, accept-new, off", p)
	}
	overrideSSH(c, &h.SSH)
	for i := range h.SSH.Jumps {
		overrideSSH(c, &h.SSH.Jumps[i].SSH)
	}
	if d := c.Duration("wait-ssh"); d > 0 {
		h.SSH.Wait = d
	}
	if c.Bool("ask-pass") {
		h.SSH.Password = inventory.Secret{Prompt: true}
	}
	if file := c.String("become-pass-file"); file != "" {
		h.Become.Password = inventory.Secret{File: file}
	}
	if c.Bool("ask-become-pass") {
		h.Become.Password = inventory.Secret{Prompt: true}
	}
	return nil
}

// overrideSSH is the part that also counts for jump hosts.
func overrideSSH(c *cli.Context, s *inventory.SSH) {
	if keys := c.StringSlice("ssh-key"); len(keys) > 0 {
		s.IdentityFiles = keys
	}
	if files := c.StringSlice("known-hosts"); len(files) > 0 {
		s.KnownHosts = files
	}
	if p := c.String("host-key-policy"); p != "" {
		s.HostKeyPolicy = p
	}
	if d := c.Duration("connect-timeout"); d > 0 {
		s.ConnectWait = d
	}
}

// connector makes the connections of one operation: to hosts, to jump hosts, which they share, and to client ports.
type connector struct {
	secrets *secrets
	fleet   remote.Fleet
	notice  func(host, text string) // may be nil
	// authority is that of the ensemble's certificates, on this machine.
	authority *certs.Store
	out       *output // may be nil
}

// connector is for looking at client ports alone: only what leads to jump hosts is asked for. It is to be closed.
func (op *operation) connector() (*connector, error) {
	if err := op.override(); err != nil {
		return nil, err
	}
	authority, err := op.authority()
	if err != nil {
		return nil, err
	}
	return &connector{secrets: op.secrets, authority: authority, out: op.out}, op.secrets.askForJumps(op.inv)
}

// override lets flags win over the inventory.
func (op *operation) override() error {
	for i := range op.inv.Hosts {
		if err := override(op.Context, &op.inv.Hosts[i]); err != nil {
			return err
		}
	}
	return nil
}

// host makes the connection to a host, which is dialled at its first use.
func (c *connector) host(h inventory.Host) (remote.Host, error) {
	become := remote.Become{None: h.Become.Method == "none", Password: c.secrets.reader(sudoPassword(h), h.Become.Password)}
	if m := h.Become.Method; m == "sudo" || m == "doas" {
		become.Program = m
	}
	if h.Connection == inventory.Local {
		return remote.NewLocal(h.Name, become), nil
	}
	via, err := c.jump(h)
	if err != nil {
		return nil, err
	}
	cfg := c.config(h.Name, h.Address, h.SSH)
	cfg.Become, cfg.Via, cfg.Wait = become, via, h.SSH.Wait
	if c.notice != nil {
		cfg.Notice = func(text string) { c.notice(h.Name, text) }
	}
	return remote.NewSSH(cfg)
}

// jump is the last jump host on the way to a host; nil where the way is direct.
func (c *connector) jump(h inventory.Host) (*remote.SSH, error) {
	var via *remote.SSH
	for _, j := range h.SSH.Jumps {
		cfg := c.config(j.Name, j.Address, j.SSH)
		cfg.Via = via
		next, err := c.fleet.Jump(cfg)
		if err != nil {
			return nil, err
		}
		via = next
	}
	return via, nil
}

// config is what a login to a host or a jump host needs.
func (c *connector) config(name, address string, s inventory.SSH) remote.SSHConfig {
	cfg := remote.SSHConfig{
		Name: name, Address: address, Port: s.Port, User: s.User, ProxyCommand: s.ProxyCommand, Fleet: &c.fleet,
		IdentityFiles: s.IdentityFiles, IdentitiesOnly: s.IdentitiesOnly, CertificateFiles: s.Certificates,
		Password: c.secrets.reader(passwordOf(s.User), s.Password), Passphrase: c.secrets.passphrase(s.Passphrase),
		HostKeys: remote.HostKeyPolicy(s.HostKeyPolicy), KnownHosts: s.KnownHosts, HostKeyAlias: s.HostKeyAlias,
		ConnectTimeout: s.ConnectWait,
	}
	if hasTerminal() {
		cfg.Ask = func(question string) (string, error) { return c.secrets.answer(name + ": " + question) }
	}
	if isTerminal(os.Stdin) && isTerminal(os.Stderr) {
		cfg.AcceptKey = func(ctx context.Context, question string) (string, error) { return c.question(ctx, question) }
	}
	if s.Agent {
		if cfg.AgentSocket = s.AgentSocket; cfg.AgentSocket == "" {
			cfg.AgentSocket = os.Getenv("SSH_AUTH_SOCK")
		}
	}
	return cfg
}

// question asks on the terminal, one question at a time.
func (c *connector) question(ctx context.Context, text string) (string, error) {
	c.secrets.mu.Lock()
	defer c.secrets.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	if c.out != nil {
		c.out.asking.Store(true)
		defer c.out.asking.Store(false)
	}
	fmt.Fprint(os.Stderr, clearLine+text)
	typed := answer(ctx, os.Stdin)
	return typed, context.Cause(ctx)
}

// close ends the connections to jump hosts.
func (c *connector) close() { c.fleet.Close() }
