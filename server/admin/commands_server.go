package admin

import (
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

func configurationCommand(c *call) {
	cfg := c.src.Config()
	c.set("client_port", clientPort(c.src))
	c.set("data_dir", cfg.SnapDir())
	c.set("data_log_dir", cfg.LogDir())
	c.set("tick_time", cfg.TickTime.Milliseconds())
	c.set("max_client_cnxns", cfg.MaxClientCnxns)
	c.set("min_session_timeout", cfg.MinSessionTimeout.Milliseconds())
	c.set("max_session_timeout", cfg.MaxSessionTimeout.Milliseconds())
	c.set("server_id", int64(cfg.ServerID))
	c.set("client_port_listen_backlog", cfg.ListenBacklog)
}

func dirsCommand(c *call) {
	cfg := c.src.Config()
	c.set("datadir_size", dirBytes(cfg.SnapDir()))
	c.set("logdir_size", dirBytes(cfg.LogDir()))
}

func environmentCommand(c *call) {
	for _, v := range environment(c.src) {
		c.set(v.name, v.value)
	}
}

func systemPropertiesCommand(c *call) {
	properties := c.src.Config().SystemProperties()
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		c.set(name, properties[name])
	}
}

// initialConfigurationCommand shows zoo.cfg as it was read. Apache ZooKeeper shows it on a standalone server only.
func initialConfigurationCommand(c *call) { c.set("initial_configuration", c.src.Config().Source.Text) }

func hashCommand(c *call) {
	digests := []object{}
	for _, d := range c.src.Digests() {
		digests = append(digests, object{{"zxid", int64(d.Zxid)}, {"digest", int64(d.Digest)}, {"digest_version", tree.DigestVersion}})
	}
	c.set("digests", digests)
}

// lastSnapshotCommand shows the newest snapshot; its time is that of the file, in seconds.
func lastSnapshotCommand(c *call) {
	zxid, written, ok := c.src.LastSnapshot()
	if !ok {
		c.set("zxid", "ffffffffffffffff")
		c.set("timestamp", -1)
		return
	}
	c.set("zxid", strconv.FormatUint(uint64(zxid), 16))
	c.set("timestamp", written.Unix())
}

func leaderCommand(c *call) {
	if !c.src.Config().Distributed {
		c.set("error", "server is not initialized")
		return
	}
	status := c.src.Status()
	c.set("is_leader", status.Role == node.Leading)
	leader := int64(-1)
	host := ""
	if status.Leader != 0 {
		leader = int64(status.Leader)
		if m, ok := c.src.Members().Member(status.Leader); ok {
			host = m.Host
		}
	}
	c.set("leader_id", leader)
	c.set("leader_ip", host)
}

func observersCommand(c *call) {
	observers := []object{}
	if status := c.src.Status(); status.Role == node.Leading {
		synced := make(map[wire.ServerID]bool)
		for _, l := range status.Learners {
			synced[l.ID] = l.Observer && l.Synced
		}
		for _, l := range c.src.Learners() {
			if !l.Observer || !synced[l.ID] {
				continue
			}
			observers = append(observers, object{
				{"remote_socket_address", "/" + javaAddress(l.Remote)}, {"sid", int64(l.ID)},
				{"established", l.Established.UnixMilli()}, {"queued_packets", l.QueuedPackets},
				{"queued_packets_size", l.QueuedBytes}, {"packets_received", l.Received}, {"packets_sent", l.Sent},
				{"requests", l.Requests}, {"last_zxid", int64(l.LastZxid)},
			})
		}
	}
	c.set("synced_observers", len(observers))
	c.set("observers", observers)
}

func votingViewCommand(c *call) {
	view := object{}
	if cfg := c.src.Config(); cfg.Distributed {
		members := c.src.Members()
		for _, id := range members.Voters() {
			m, _ := members.Member(id)
			client := ""
			if m.ClientPort != 0 {
				client = hostPort(m.ClientHost, m.ClientPort)
			} else if id == cfg.ServerID {
				client = ownClientAddress(c.src)
			}
			view = append(view, member{strconv.FormatInt(int64(id), 10), object{
				{"server_addresses", []string{m.QuorumAddress()}}, {"election_addresses", []string{m.ElectionAddress()}},
				{"client_address", client}, {"learner_type", "participant"},
			}})
		}
	}
	c.set("current_config", view)
}

func zabStateCommand(c *call) {
	cfg, status := c.src.Config(), c.src.Status()
	if !cfg.Distributed {
		c.set("voting", false)
		c.set("zabstate", "")
		return
	}
	members := c.src.Members()
	self, _ := members.Member(cfg.ServerID)
	zxid := lastZxid(status)
	c.set("myid", int64(cfg.ServerID))
	c.set("is_leader", status.Role == node.Leading)
	c.set("quorum_address", addressObject(self.Host, self.QuorumPort))
	c.set("election_address", addressObject(self.Host, self.ElectionPort))
	c.set("client_address", ownClientAddress(c.src))
	c.set("voting", members.IsVoter(cfg.ServerID))
	c.set("last_zxid", zxid.String())
	c.set("zab_epoch", int64(zxid.Epoch()))
	c.set("zab_counter", int64(zxid.Counter()))
	c.set("zabstate", zabState(status))
}

// addressObject is an address as Apache ZooKeeper shows the several that a member could have (MultipleAddresses).
func addressObject(host string, port int) object {
	address := hostPort(host, port)
	return object{
		{"empty", false}, {"all_addresses", []string{address}}, {"all_reachable_addresses", []string{address}}, {"one", address},
		{"reachable_address", address}, {"wildcard_addresses", []string{hostPort("0.0.0.0", port)}},
		{"all_ports", []int64{int64(port)}}, {"all_host_strings", []string{host}},
		{"all_reachable_addresses_or_all", []string{address}}, {"reachable_or_one", address},
	}
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
