package provision

import (
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// Config is the zoo.cfg that a host is to have when all is as the inventory wants it, with stars for secrets; no host is asked. leftOut
// says what is not in there because the host's Apache ZooKeeper does not know it. What a distribution's package knows, only the
// host can tell.
func Config(inv *inventory.Inventory, h inventory.Host) (path string, text []byte, leftOut []string, err error) {
	m := templates.Member{Ensemble: inv, Host: h}
	archive, err := release(h)
	if err != nil {
		return "", nil, nil, err
	}
	if archive != nil {
		m.Apache = templates.Apache{Version: archive.Version, Prometheus: archive.Prometheus}
	}
	return m.Config(), redacted(templates.ZooCfg(m)), m.LeftOut(), nil
}
