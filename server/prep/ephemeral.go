package prep

import "github.com/zkctl/zkctl/wire"

func isKnown(flags int32) bool {
	return flags >= wire.FlagPersistent && flags <= wire.FlagPersistentSequentialTTL
}

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

// multiCreatesEphemeral looks at the flags of every part that creates, since there they say what is created. At a part
// whose flags mean nothing, which fails the multi, it looks no further.
func multiCreatesEphemeral(d *wire.Decoder) bool {
	found, failed := false, false
	for {
		var part wire.MultiHeader
		part.Decode(d)
		var flags int32
		switch {
		case d.Err() != nil:
			return false
		case part.Done:
			return found
		case part.Type == wire.OpCreate || part.Type == wire.OpCreate2 || part.Type == wire.OpCreateContainer:
			var c wire.CreateRequest
			c.Decode(d)
			flags = c.Flags
		case part.Type == wire.OpCreateTTL:
			var c wire.CreateTTLRequest
			c.Decode(d)
			flags = c.Flags
		case !skip(part.Type, d):
			return false
		}
		failed = failed || !isKnown(flags)
		found = found || !failed && isEphemeral(flags)
	}
}
