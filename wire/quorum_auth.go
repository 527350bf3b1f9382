package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// QuorumAuthPacket carries a token of SASL between servers, on the quorum port before the first QuorumPacket and on the
// election port behind the greeting:
//
//	long magic | int status | buffer token
type QuorumAuthPacket struct {
	Status QuorumAuthStatus
	// Token is null, which is nil, where there is none.
	Token []byte
}

// QuorumAuthStatus says how far an authentication has come.
type QuorumAuthStatus int32

// The states of an authentication (org.apache.zookeeper.server.quorum.auth.QuorumAuth.Status).
const (
	QuorumAuthInProgress QuorumAuthStatus = 0
	QuorumAuthSuccess    QuorumAuthStatus = 1
	QuorumAuthError      QuorumAuthStatus = -1
)

// quorumAuthMagic begins each packet. No QuorumPacket and no vote begins so.
const quorumAuthMagic = 0x5f2435013501edcc

// QuorumAuthMagicBytes is how many bytes IsQuorumAuth looks at.
const QuorumAuthMagicBytes = 8

// IsQuorumAuth tells whether these QuorumAuthMagicBytes begin a QuorumAuthPacket.
func IsQuorumAuth(b []byte) bool {
	return len(b) >= QuorumAuthMagicBytes && int64(binary.BigEndian.Uint64(b)) == quorumAuthMagic
}

// Append appends the packet.
func (p QuorumAuthPacket) Append(b []byte) []byte {
	return AppendBuffer(AppendInt32(AppendInt64(b, quorumAuthMagic), int32(p.Status)), p.Token)
}

// ReadQuorumAuthPacket reads one packet, and nothing behind it. Its token may not be longer than maxBytes.
func ReadQuorumAuthPacket(r io.Reader, maxBytes int) (QuorumAuthPacket, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return QuorumAuthPacket{}, err
	}
	if !IsQuorumAuth(head[:]) {
		return QuorumAuthPacket{}, fmt.Errorf("no authentication packet, but %x", head[:QuorumAuthMagicBytes])
	}
	token, err := readBuffer(r, int32(binary.BigEndian.Uint32(head[12:])), maxBytes)
	return QuorumAuthPacket{Status: QuorumAuthStatus(binary.BigEndian.Uint32(head[8:])), Token: token}, err
}
