package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/inventory/convert"
	"github.com/zkctl/zkctl/remote"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "write an inventory of the hosts that another tool knows", ArgsUsage: "vagrant|terraform|ansible|addresses [FILE]",
		Description: `Reads FILE, or what is piped in, and writes an inventory to stdout.

   vagrant ssh-config | zkctl inventory import vagrant > inventory.yaml
   terraform output -json | zkctl inventory import terraform --only zk_ips > inventory.yaml
   zkctl inventory import terraform terraform.tfstate --only 'aws_instance.zk*' > inventory.yaml
   zkctl inventory import ansible hosts.ini --only zookeeper > inventory.yaml
   ansible-inventory -i hosts.ini --list | zkctl inventory import ansible > inventory.yaml
   cat addresses.txt | zkctl inventory import addresses > inventory.yaml

vagrant takes any ssh_config with a block for each host. Virtual machines that are reached by ports of this one
(127.0.0.1) are asked for their addresses: what stands in the inventory is the one in the subnet in which each has its
own. terraform reads all outputs, one alone (terraform output -json zk_ips), and states. ansible reads INI and YAML, the file
alone, or what ansible-inventory --list says, which knows group_vars and host_vars, too. A line of addresses has one or more
[NAME=][USER@]ADDRESS[:PORT], or is of /etc/hosts. Passwords are never taken over.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Value: "ensemble", Usage: "`NAME` of the ensemble"},
			&cli.StringFlag{Name: "only", Usage: "terraform: the output of this `NAME`, or the resources; ansible: the group"},
			&cli.StringSliceFlag{Name: "peer", Usage: "`NAME=ADDRESS` by which the others reach a host (repeatable)"},
			&cli.StringFlag{Name: "subnet", Usage: "the others reach the hosts in this `SUBNET`, such as 192.168.56.0/24; asks the hosts for their addresses"},
		}, sshFlags()...),
		Action: inventoryImport,
	}
}

func inventoryImport(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return usage("inventory import needs the tool (vagrant, terraform, ansible, addresses), and a file unless it is piped in")
	}
	written, source, err := imported(c.Args().Get(1))
	if err != nil {
		return err
	}
	text := convert.Text(written)
	var hosts []convert.Host
	switch tool := c.Args().First(); tool {
	case "vagrant":
		hosts, err = convert.Vagrant(text)
	case "terraform":
		hosts, err = convert.Terraform(text, c.String("only"))
	case "ansible":
		hosts, err = convert.Ansible(text, c.String("only"))
	case "addresses":
		hosts, err = convert.Addresses(text)
	default:
		return usage("inventory import from %q: there are vagrant, terraform, ansible, addresses", tool)
	}
	if err != nil {
		return usage("%s: %v", source, err)
	}
	options := convert.Options{Name: c.String("name"), User: c.String("ssh-user"), Source: source, Strict: c.String("host-key-policy") == "strict"}
	if err := givenPeers(hosts, c.StringSlice("peer")); err != nil {
		return err
	}
	if err := askPeers(c, hosts, options); err != nil {
		return err
	}
	written, err = convert.Inventory(hosts, options)
	if err != nil {
		return usage("%v", err)
	}
	inv, err := inventory.Parse("(new inventory)", written)
	if err != nil {
		return err
	}
	for _, w := range inv.Warnings {
		fmt.Fprintf(c.App.ErrWriter, "zkctl: warning: %s\n", w.Text)
	}
	_, err = c.App.Writer.Write(written)
	return err
}

// imported reads a file, or standard input where something is piped in.
func imported(file string) (text []byte, source string, err error) {
	if file != "" && file != "-" {
		text, err = os.ReadFile(file)
		if err != nil {
			return nil, "", usage("%v", err)
		}
		return text, filepath.Base(file), nil
	}
	if isTerminalInput() {
		return nil, "", usage("nothing is piped in, and no file is given")
	}
	text, err = io.ReadAll(io.LimitReader(os.Stdin, 64<<20))
	return text, "standard input", err
}

func isTerminalInput() bool {
	info, err := os.Stdin.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// givenPeers are those of --peer.
func givenPeers(hosts []convert.Host, peers []string) error {
	for _, p := range peers {
		name, address, ok := strings.Cut(p, "=")
		i := slices.IndexFunc(hosts, func(h convert.Host) bool { return h.Name == name })
		if !ok || address == "" {
			return usage("--peer: %q is no NAME=ADDRESS", p)
		}
		if i < 0 {
			return usage("--peer: there is no host %q", name)
		}
		hosts[i].PeerAddress = address
	}
	return nil
}

// askPeers logs in to hosts of which the address for their peers is not known, and finds it. Where that one can be reached
// from here, too, it becomes the address of the host: forwarded ports lead to sshd alone.
func askPeers(c *cli.Context, hosts []convert.Host, options convert.Options) error {
	var subnet netip.Prefix
	if s := c.String("subnet"); s != "" {
		var err error
		if subnet, err = netip.ParsePrefix(s); err != nil {
			return usage("--subnet: %v", err)
		}
	}
	unknown := func(h convert.Host) bool { return h.PeerAddress == "" && (h.Loopback() || subnet.IsValid()) }
	if !slices.ContainsFunc(hosts, unknown) {
		return nil
	}
	// The inventory as it is known so far tells how to log in.
	draft, err := convert.Inventory(slices.Clone(hosts), options)
	if err != nil {
		return usage("%v", err)
	}
	inv, err := loadOptions(c).Parse("(new inventory)", draft)
	if err != nil {
		return err
	}
	op := newOperation(c, nil, inv)
	connector, err := op.connector()
	if err == nil {
		err = op.secrets.ask(inv)
	}
	if err != nil {
		return err
	}
	defer connector.close()
	names, addresses := make([]string, len(hosts)), make([][]netip.Prefix, len(hosts))
	var group errgroup.Group
	for i, h := range inv.Hosts {
		names[i] = h.Name
		group.Go(func() error {
			host, err := connector.host(h)
			if err != nil {
				return err
			}
			defer host.Close()
			res, err := host.Run(c.Context, remote.Command{Label: "ask for the addresses", Script: convert.AddressScript, ReadOnly: true})
			addresses[i] = convert.ReadPrefixes(res.Stdout)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	peers, err := convert.Peers(names, addresses, subnet)
	if err != nil {
		return usage("%v", err)
	}
	for i := range hosts {
		if !unknown(hosts[i]) {
			continue
		}
		hosts[i].PeerAddress = peers[i].String()
		if hosts[i].Loopback() && answers(hosts[i].PeerAddress, 22) {
			hosts[i].Address, hosts[i].PeerAddress, hosts[i].Port = hosts[i].PeerAddress, "", 0
		}
	}
	return nil
}

// answers tells whether somebody listens there.
func answers(address string, port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), 2*time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}
