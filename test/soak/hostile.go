// Package soak throws random and broken bytes at every port of an ensemble beside a client that works, and asks afterwards
// whether that client noticed anything and whether the servers have kept anything.
package soak

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Target is a port and what it takes to get past its door.
type Target struct {
	Name, Address string
	// Attacks are what hostile connections to it send.
	Attacks []Attack
}

// Attack is one way to misbehave on a fresh connection. It returns soon after ctx ends.
type Attack struct {
	Name string
	Run  func(ctx context.Context, r *rand.Rand, conn net.Conn)
}

const (
	// holdTime is how long a connection that has said its say is held open if the server lets it.
	holdTime = 300 * time.Millisecond
	// maxNoise is how much random stuff one connection sends.
	maxNoise = 64 << 10
)

// ClientAttacks are those on the client port.
func ClientAttacks() []Attack {
	return []Attack{
		{"noise", noise(nil)},
		{"huge frame", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, binary.BigEndian.AppendUint32(nil, 1<<31-1-r.Uint32N(1000)))
			hold(c)
		}},
		{"negative frame", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, binary.BigEndian.AppendUint32(nil, 1<<31+r.Uint32N(1<<31)))
			hold(c)
		}},
		{"cut frame", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, binary.BigEndian.AppendUint32(nil, 500_000))
			send(c, random(r, r.IntN(100_000)))
		}},
		{"random session", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, frame(wire.ConnectRequest{TimeOut: r.Int32(), SessionID: wire.SessionID(r.Uint64()), Passwd: random(r, 16)}.Append(nil)))
			hold(c)
		}},
		{"random requests", requests(func(r *rand.Rand, xid int32) []byte {
			header := wire.AppendInt32(wire.AppendInt32(nil, xid), int32(r.IntN(120)-20))
			return append(header, random(r, r.IntN(300))...)
		})},
		{"broken requests", requests(func(r *rand.Rand, xid int32) []byte {
			b := valid[r.IntN(len(valid))](r, xid)
			for range 1 + r.IntN(3) {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
			return b
		})},
		{"cut requests", requests(func(r *rand.Rand, xid int32) []byte {
			b := valid[r.IntN(len(valid))](r, xid)
			return b[:r.IntN(len(b)+1)]
		})},
		{"never reads", func(ctx context.Context, r *rand.Rand, c net.Conn) {
			send(c, frame(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil)))
			end := time.Now().Add(2 * time.Second)
			for xid := int32(1); ctx.Err() == nil && time.Now().Before(end); xid++ {
				if !send(c, frame(request(xid, wire.OpGetData, wire.ReadRequest{Path: Big}.Append(nil)))) {
					return
				}
			}
		}},
		{"words", func(_ context.Context, r *rand.Rand, c net.Conn) {
			words := []string{"ruok", "stat", "mntr", "dump", "cons", "wchp", "envi", "abcd", "stmk", "\xff\xf4\xff\xfd", "GET /"}
			send(c, []byte(words[r.IntN(len(words))]))
			hold(c)
		}},
	}
}

// Big is a znode with much data that must be there for those who never read.
const Big = "/soak-big"

var valid = []func(r *rand.Rand, xid int32) []byte{
	func(_ *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpGetData, wire.ReadRequest{Path: "/", Watch: true}.Append(nil))
	},
	func(r *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpCreate, wire.CreateRequest{
			Path: fmt.Sprintf("/soak-junk/%d", r.IntN(50)), Data: random(r, 20), ACL: wire.OpenACL(), Flags: int32(r.IntN(2))}.Append(nil))
	},
	func(r *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpDelete, wire.VersionRequest{Path: fmt.Sprintf("/soak-junk/%d", r.IntN(50)), Version: -1}.Append(nil))
	},
	func(_ *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpGetChildren2, wire.ReadRequest{Path: "/soak-junk", Watch: true}.Append(nil))
	},
	func(_ *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpAddWatch, wire.WatchRequest{Path: "/soak-junk", Type: 1}.Append(nil))
	},
	func(r *rand.Rand, xid int32) []byte {
		part := wire.CreateRequest{Path: "/soak-junk/m", Data: random(r, 9), ACL: wire.OpenACL()}.Append(nil)
		b := wire.MultiHeader{Type: wire.OpCreate, Err: -1}.Append(nil)
		b = wire.MultiEnd.Append(append(b, part...))
		return request(xid, wire.OpMulti, b)
	},
	func(_ *rand.Rand, xid int32) []byte {
		return request(xid, wire.OpAuth, wire.AuthPacket{Scheme: "digest", Auth: []byte("a:b")}.Append(nil))
	},
	func(_ *rand.Rand, xid int32) []byte { return request(xid, wire.OpSync, wire.AppendString(nil, "/")) },
}

// ElectionAttacks are those on an election port. They use the ids of no member: who speaks for a member takes its place.
func ElectionAttacks() []Attack {
	greeting := func(r *rand.Rand) []byte {
		b := wire.AppendInt64(wire.AppendInt64(nil, -65536), 100+r.Int64N(50))
		return wire.AppendString(b, "127.0.0.1:1")
	}
	return []Attack{
		{"noise", noise(nil)},
		{"noise after a greeting", noise(greeting)},
		{"huge vote", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, greeting(r))
			send(c, binary.BigEndian.AppendUint32(nil, 1<<31-1-r.Uint32N(1000)))
			hold(c)
		}},
		{"random votes", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, greeting(r))
			for range 1 + r.IntN(20) {
				if !send(c, frame(random(r, r.IntN(200)))) {
					return
				}
			}
			hold(c)
		}},
		{"silence", func(_ context.Context, _ *rand.Rand, c net.Conn) { hold(c) }},
	}
}

// QuorumAttacks are those on a leader's quorum port, under the ids of no member.
func QuorumAttacks() []Attack {
	info := func(r *rand.Rand) []byte {
		p := wire.QuorumPacket{Type: wire.PacketObserverInfo, Data: wire.LearnerInfo{
			ServerID: wire.ServerID(100 + r.IntN(50)), ProtocolVersion: wire.LearnerProtocolVersion}.Marshal()}
		return p.Append(nil)
	}
	return []Attack{
		{"noise", noise(nil)},
		{"noise after the introduction", noise(info)},
		{"random packets", func(_ context.Context, r *rand.Rand, c net.Conn) {
			send(c, info(r))
			for range 1 + r.IntN(20) {
				p := wire.QuorumPacket{Type: wire.PacketType(r.IntN(25)), Zxid: wire.Zxid(r.Uint64()), Data: random(r, r.IntN(200))}
				if !send(c, p.Append(nil)) {
					return
				}
			}
			hold(c)
		}},
		{"silence", func(_ context.Context, _ *rand.Rand, c net.Conn) { hold(c) }},
	}
}

// HTTPAttacks are those on the AdminServer and the metrics port.
func HTTPAttacks() []Attack {
	return []Attack{
		{"noise", noise(nil)},
		{"endless header", func(ctx context.Context, r *rand.Rand, c net.Conn) {
			send(c, []byte("GET /commands HTTP/1.1\r\nHost: x\r\nX: "))
			for range 200 {
				if !send(c, []byte(fmt.Sprintf("%x", random(r, 8<<10)))) {
					return
				}
			}
		}},
		{"strange requests", func(_ context.Context, r *rand.Rand, c net.Conn) {
			methods := []string{"GET", "POST", "TRACE", "PUT", "X"}
			paths := []string{"/commands/restore", "/commands/snapshot", "/commands/../..", "/commands/%00", "/commands/stmk?traceMask=zz", "/metrics", "//"}
			send(c, []byte(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", methods[r.IntN(len(methods))], paths[r.IntN(len(paths))], r.IntN(1<<20))))
			send(c, random(r, r.IntN(10_000)))
			hold(c)
		}},
		{"silence", func(_ context.Context, _ *rand.Rand, c net.Conn) { hold(c) }},
	}
}

// noise sends random bytes, after what opens the door, and reads what comes.
func noise(door func(*rand.Rand) []byte) func(context.Context, *rand.Rand, net.Conn) {
	return func(_ context.Context, r *rand.Rand, c net.Conn) {
		if door != nil {
			send(c, door(r))
		}
		for n := r.IntN(maxNoise); n > 0; n -= 4096 {
			if !send(c, random(r, min(n, 4096))) {
				return
			}
		}
		hold(c)
	}
}

// requests opens a session and sends requests without a look at the answers, which are read nevertheless.
func requests(next func(r *rand.Rand, xid int32) []byte) func(context.Context, *rand.Rand, net.Conn) {
	return func(_ context.Context, r *rand.Rand, c net.Conn) {
		send(c, frame(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil)))
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, c)
		}()
		for xid := range int32(1 + r.IntN(100)) {
			if !send(c, frame(next(r, xid+1))) {
				break
			}
		}
		c.SetReadDeadline(time.Now().Add(holdTime))
		<-read
	}
}

func request(xid int32, op wire.OpCode, body []byte) []byte {
	return append(wire.AppendInt32(wire.AppendInt32(nil, xid), int32(op)), body...)
}

func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// send tells whether the other side still takes bytes.
func send(c net.Conn, b []byte) bool {
	c.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := c.Write(b)
	return err == nil
}

// hold reads until the server closes the connection, or for a while.
func hold(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(holdTime))
	io.Copy(io.Discard, c)
}
