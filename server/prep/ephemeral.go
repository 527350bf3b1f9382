package prep

import "github.com/zkctl/zkctl/wire"

func isEphemeral(flags int32) bool {
	return flags == wire.FlagEphemeral || flags == wire.FlagEphemeralSequential
}

// CreatesEphemeral tells whether a request asks for an ephemeral node, for which its session must be one of the ensemble
// (QuorumZooKeeperServer.checkUpgradeSession). One that cannot be read does not.
func CreatesEphemeral(op wire.OpCode, body []byte) bool {
	d := wire.NewDecoder(body)
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		var c wire.CreateRequest
		c.Decode(d)
		return d.Err() == nil && isEphemeral(c.Flags)
	case wire.OpMulti:
		return multiCreatesEphemeral(d)
	}
	return false
}

func multiCreatesEphemeral(d *wire.Decoder) bool {
	found := false
	for {
		var part wire.MultiHeader
		part.Decode(d)
		switch {
		case d.Err() != nil:
			return false
		case part.Done:
			return found
		case part.Type == wire.OpCreate || part.Type == wire.OpCreate2:
			var c wire.CreateRequest
			c.Decode(d)
			found = found || isEphemeral(c.Flags)
		case !skip(part.Type, d):
			return false
		}
	}
}
