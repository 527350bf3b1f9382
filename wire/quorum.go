package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// PacketType is the type of a packet of the quorum port.
type PacketType int32

// The packets between a leader and its learners (org.apache.zookeeper.server.quorum.Leader).
const (
	PacketRequest PacketType = 1 + iota
	PacketProposal
	PacketAck
	PacketCommit
	PacketPing
	PacketRevalidate
	PacketSync
	PacketInform
	PacketCommitAndActivate
	PacketNewLeader
	PacketFollowerInfo
	PacketUpToDate
	PacketDiff
	PacketTrunc
	PacketSnap
	PacketObserverInfo
	PacketLeaderInfo
	PacketAckEpoch
	PacketInformAndActivate
)

var packetNames = [...]string{
	"", "REQUEST", "PROPOSAL", "ACK", "COMMIT", "PING", "REVALIDATE", "SYNC", "INFORM", "COMMITANDACTIVATE",
	"NEWLEADER", "FOLLOWERINFO", "UPTODATE", "DIFF", "TRUNC", "SNAP", "OBSERVERINFO", "LEADERINFO", "ACKEPOCH",
	"INFORMANDACTIVATE",
}

// String is the name that ZooKeeper uses.
func (t PacketType) String() string {
	if t > 0 && int(t) < len(packetNames) {
		return packetNames[t]
	}
	return fmt.Sprintf("packet %d", int32(t))
}

// QuorumPacket is what a leader and its learners exchange, one after the other without a length:
//
//	int type | long zxid | buffer data | vector (string scheme, string id)
type QuorumPacket struct {
	Type PacketType
	Zxid Zxid
	// Data depends on the type; nil is null.
	Data []byte
	// Auth are the ids of the client of a REQUEST; nil is null.
	Auth []ID
}

// Append appends the packet.
func (p QuorumPacket) Append(b []byte) []byte {
	b = AppendBuffer(AppendInt64(AppendInt32(b, int32(p.Type)), int64(p.Zxid)), p.Data)
	if p.Auth == nil {
		return AppendInt32(b, -1)
	}
	b = AppendInt32(b, int32(len(p.Auth)))
	for _, id := range p.Auth {
		b = AppendID(b, id)
	}
	return b
}

// ErrPacketTooLong refuses a packet whose fields are longer than the reader allows.
var ErrPacketTooLong = errors.New("packet is too long")

// maxAuthIDs bounds the number of ids of a REQUEST.
const maxAuthIDs = 1 << 16

// ReadQuorumPacket reads one packet. Neither its data nor all of its ids together may be longer than maxBytes.
func ReadQuorumPacket(r io.Reader, maxBytes int) (QuorumPacket, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return QuorumPacket{}, err
	}
	p := QuorumPacket{
		Type: PacketType(binary.BigEndian.Uint32(head[:])), Zxid: Zxid(binary.BigEndian.Uint64(head[4:])),
	}
	data, err := readBuffer(r, int32(binary.BigEndian.Uint32(head[12:])), maxBytes)
	if err != nil {
		return p, err
	}
	p.Data = data
	n, err := readInt32(r)
	if err != nil || n == -1 {
		return p, err
	}
	if n < 0 || n > maxAuthIDs {
		return p, ErrPacketTooLong
	}
	p.Auth = []ID{}
	for range n {
		var id ID
		for _, text := range []*string{&id.Scheme, &id.ID} {
			if *text, err = readText(r, maxBytes); err != nil {
				return p, err
			}
			maxBytes -= len(*text)
		}
		p.Auth = append(p.Auth, id)
	}
	return p, nil
}

func readInt32(r io.Reader) (int32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, noEOF(err)
	}
	return int32(binary.BigEndian.Uint32(b[:])), nil
}

// stepBytes is how much is allocated for a field before any of it has been read.
const stepBytes = 64 << 10

func readBuffer(r io.Reader, n int32, maxBytes int) ([]byte, error) {
	if n == -1 {
		return nil, nil
	}
	if n < 0 || int(n) > maxBytes {
		return nil, ErrPacketTooLong
	}
	data := make([]byte, min(int(n), stepBytes))
	for from := 0; ; {
		if _, err := io.ReadFull(r, data[from:]); err != nil {
			return nil, noEOF(err)
		}
		if from = len(data); from == int(n) {
			return data, nil
		}
		data = append(data, make([]byte, min(int(n)-from, 3*from))...)
	}
}

func readText(r io.Reader, maxBytes int) (string, error) {
	n, err := readInt32(r)
	if err != nil {
		return "", err
	}
	data, err := readBuffer(r, n, maxBytes)
	return string(data), err
}

// noEOF: in the middle of a packet the end of the stream is not a clean one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// LearnerProtocolVersion is the version of the quorum protocol since 3.4.
const LearnerProtocolVersion = 0x10000

// LearnerInfo is the data of FOLLOWERINFO and OBSERVERINFO.
type LearnerInfo struct {
	ServerID        ServerID
	ProtocolVersion int32
	ConfigVersion   int64
}

// Marshal returns the record.
func (i LearnerInfo) Marshal() []byte {
	return AppendInt64(AppendInt32(AppendInt64(nil, int64(i.ServerID)), i.ProtocolVersion), i.ConfigVersion)
}

// ParseLearnerInfo reads the record; servers before 3.5 send no version of the configuration.
func ParseLearnerInfo(b []byte) (LearnerInfo, error) {
	d := NewDecoder(b)
	i := LearnerInfo{ServerID: ServerID(d.Int64()), ProtocolVersion: d.Int32()}
	if len(d.Rest()) > 0 {
		i.ConfigVersion = d.Int64()
	}
	return i, d.Err()
}

// AppendEpoch appends the data of ACKEPOCH.
func AppendEpoch(b []byte, e Epoch) []byte { return AppendInt32(b, int32(e)) }

// ParseEpoch reads the data of ACKEPOCH.
func ParseEpoch(b []byte) (Epoch, error) {
	d := NewDecoder(b)
	e := Epoch(d.Int32())
	return e, d.Err()
}
