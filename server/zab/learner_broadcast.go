package zab

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// handleBroadcast handles the packets of a leader in broadcast.
func (l *Learner) handleBroadcast(packet wire.QuorumPacket) error {
	switch packet.Type {
	case wire.PacketProposal:
		if l.observer {
			return nil
		}
		if err := l.receive(packet); err != nil {
			return err
		}
		l.log(l.pending[len(l.pending)-1])
		if l.cfg.Unsafe.DeliverProposals {
			l.committed++
			l.deliverNext()
		}
	case wire.PacketCommit:
		if l.observer || l.cfg.Unsafe.DeliverProposals {
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
		l.revalidated(session, valid, packet)
	case wire.PacketSync:
		l.synced(packet)
	case wire.PacketCommitAndActivate:
		if l.observer {
			return nil
		}
		if err := l.noteCommit(packet.Zxid); err != nil {
			return err
		}
		return l.handleActivate(packet)
	case wire.PacketInformAndActivate:
		if err := l.receiveInform(packet); err != nil {
			return err
		}
		l.log(l.pending[len(l.pending)-1])
		l.committed++
		return l.handleActivate(packet)
	case wire.PacketUpToDate, wire.PacketNewLeader, wire.PacketDiff, wire.PacketTrunc, wire.PacketSnap:
		return fmt.Errorf("%v during broadcast", packet.Type)
	}
	return nil
}
