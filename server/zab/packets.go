package zab

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Request is a client's request on its way from a learner to the leader.
type Request struct {
	Session wire.SessionID
	Cxid    int32
	Op      wire.OpCode
	// Body is the request record as the client sent it.
	Body []byte
	// Auth are the ids of the client's connection.
	Auth []wire.ID
}

// Touch is a sign of life of a session.
type Touch struct {
	Session wire.SessionID
	Timeout time.Duration
}

// The data of the side packets, all big-endian:
//
//	REQUEST             long session | int cxid | int type | body
//	REVALIDATE          long session | int timeout (ms)
//	REVALIDATE, answer  long session | byte valid
//	PING, answer        (long session | int timeout (ms)) ...
const (
	requestHeaderBytes    = 16
	touchBytes            = 12
	revalidateAnswerBytes = 9
)

func requestPacket(r Request) wire.QuorumPacket {
	data := make([]byte, 0, requestHeaderBytes+len(r.Body))
	data = binary.BigEndian.AppendUint64(data, uint64(r.Session))
	data = binary.BigEndian.AppendUint32(data, uint32(r.Cxid))
	data = binary.BigEndian.AppendUint32(data, uint32(r.Op))
	data = append(data, r.Body...)
	return wire.QuorumPacket{Type: wire.PacketRequest, Zxid: -1, Data: data, Auth: r.Auth}
}

func parseRequest(p wire.QuorumPacket) (Request, error) {
	if len(p.Data) < requestHeaderBytes {
		return Request{}, fmt.Errorf("REQUEST of %d bytes", len(p.Data))
	}
	return Request{
		Session: wire.SessionID(binary.BigEndian.Uint64(p.Data)),
		Cxid:    int32(binary.BigEndian.Uint32(p.Data[8:])),
		Op:      wire.OpCode(int32(binary.BigEndian.Uint32(p.Data[12:]))),
		Body:    p.Data[requestHeaderBytes:],
		Auth:    p.Auth,
	}, nil
}

func appendTouch(data []byte, t Touch) []byte {
	data = binary.BigEndian.AppendUint64(data, uint64(t.Session))
	return binary.BigEndian.AppendUint32(data, uint32(t.Timeout.Milliseconds()))
}

func parseTouch(data []byte) Touch {
	millis := int32(binary.BigEndian.Uint32(data[8:]))
	return Touch{
		Session: wire.SessionID(binary.BigEndian.Uint64(data)), Timeout: time.Duration(millis) * time.Millisecond,
	}
}

// touchTable is the answer to a PING: never null, sorted by session.
func touchTable(touched map[wire.SessionID]time.Duration) []byte {
	data := make([]byte, 0, touchBytes*len(touched))
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		data = appendTouch(data, Touch{id, touched[id]})
	}
	return data
}

func parseTouches(data []byte) ([]Touch, error) {
	if len(data)%touchBytes != 0 {
		return nil, fmt.Errorf("PING with %d bytes of sessions", len(data))
	}
	var touches []Touch
	for ; len(data) > 0; data = data[touchBytes:] {
		touches = append(touches, parseTouch(data))
	}
	return touches, nil
}

func revalidateRequest(session wire.SessionID, timeout time.Duration) []byte {
	return appendTouch(nil, Touch{session, timeout})
}

func parseRevalidate(data []byte) (Touch, error) {
	if len(data) != touchBytes {
		return Touch{}, fmt.Errorf("REVALIDATE of %d bytes", len(data))
	}
	return parseTouch(data), nil
}

func revalidateAnswer(session wire.SessionID, valid bool) []byte {
	data := binary.BigEndian.AppendUint64(make([]byte, 0, revalidateAnswerBytes), uint64(session))
	if valid {
		return append(data, 1)
	}
	return append(data, 0)
}

func parseRevalidateAnswer(data []byte) (session wire.SessionID, valid bool, err error) {
	if len(data) != revalidateAnswerBytes {
		return 0, false, fmt.Errorf("REVALIDATE answer of %d bytes", len(data))
	}
	return wire.SessionID(binary.BigEndian.Uint64(data)), data[8] != 0, nil
}
