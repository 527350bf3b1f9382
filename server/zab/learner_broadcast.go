package zab

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// handleBroadcast handles the packets of a leader in broadcast.
func (l *Learner) handleBroadcast(packet wire.QuorumPacket) error {
	switch packet.Type {
	case wire.PacketProposal:
		if l.cfg.Observer {
			return nil
		}
		if err := l.receive(packet); err != nil {
			return err
		}
		l.log(l.pending[len(l.pending)-1])
	case wire.PacketCommit:
		if l.cfg.Observer {
			return nil
		}
		if err := l.noteCommit(packet.Zxid); err != nil {
			return err
		}
		l.deliverNext()
	case wire.PacketInform:
		if err := l.receive(packet); err != nil {
			return err
		}
		l.log(l.pending[len(l.pending)-1])
		l.committed++
		l.deliverNext()
	case wire.PacketPing:
		l.send(wire.QuorumPacket{Type: wire.PacketPing, Zxid: packet.Zxid, Data: touchTable(l.touched)})
		clear(l.touched)
	case wire.PacketRevalidate:
		session, valid, err := parseRevalidateAnswer(packet.Data)
		if err != nil {
			return err
		}
		l.note(Revalidated{Session: session, Valid: valid})
	case wire.PacketSync:
		l.note(Synced{})
	case wire.PacketCommitAndActivate, wire.PacketInformAndActivate:
		// To go on with the old membership could split the ensemble.
		return fmt.Errorf("%v %v: reconfiguration is not supported", packet.Type, packet.Zxid)
	case wire.PacketUpToDate, wire.PacketNewLeader, wire.PacketDiff, wire.PacketTrunc, wire.PacketSnap:
		return fmt.Errorf("%v during broadcast", packet.Type)
	}
	return nil
}
