package convert

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/kevinburke/ssh_config"
)

// Vagrant reads the output of `vagrant ssh-config`, or any ssh_config that has a block for each host.
func Vagrant(text []byte) ([]Host, error) {
	cfg, err := ssh_config.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	get := func(alias, key string) string {
		v, err := cfg.Get(alias, key)
		if err != nil {
			return ""
		}
		return v
	}
	var hosts []Host
	for _, block := range cfg.Hosts {
		for _, pattern := range block.Patterns {
			alias := pattern.String()
			if bytes.ContainsAny([]byte(alias), "*?!") {
				continue
			}
			h := Host{Name: hostName(alias), Address: alias, User: get(alias, "User"),
				Jump: get(alias, "ProxyJump"), ProxyCommand: get(alias, "ProxyCommand")}
			if h.IdentityFiles, err = cfg.GetAll(alias, "IdentityFile"); err != nil {
				return nil, fmt.Errorf("host %s: %w", alias, err)
			}
			if name := get(alias, "HostName"); name != "" {
				h.Address = name
			}
			if port := get(alias, "Port"); port != "" {
				if h.Port, err = strconv.Atoi(port); err != nil {
					return nil, fmt.Errorf("host %s: port %q", alias, port)
				}
			}
			if h.Jump == "none" {
				h.Jump = ""
			}
			if h.ProxyCommand == "none" || h.Jump != "" {
				h.ProxyCommand = ""
			}
			hosts = append(hosts, h)
			break // further names of a block are the same host
		}
	}
	return hosts, nil
}
