package server

import (
	"testing"
	"testing/synctest"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

func bigPacket(bytes int) []node.Input {
	return []node.Input{node.PacketReceived{Packet: wire.QuorumPacket{Type: wire.PacketProposal, Data: make([]byte, bytes)}}}
}

// What waits for the loop is bounded in bytes, too.
func TestInboxIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox()
		put := 0
		go func() {
			for range 40 {
				b.put(bigPacket(1 << 20))
				put++
			}
		}()
		for want := inboxBytes >> 20; want < 40; want += inboxBytes >> 20 {
			synctest.Wait()
			if put != want {
				t.Fatalf("%d MB were put, want %d", put, want)
			}
			b.take(nil)
		}
		synctest.Wait()
		b.put(bigPacket(1))
		if inputs, _ := b.take(nil); len(inputs) != 40%(inboxBytes>>20)+1 {
			t.Errorf("%d inputs", len(inputs))
		}
	})
}

// While the disk has much to do, proposals wait, and nothing else.
func TestNetworkWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{inbox: newInbox()}
		s.disk = newDisk(nil, nil, nil, nil, nil)
		const txn = 1 << 20
		for range backlogBytes/txn + 2 {
			s.disk.add(node.Append{Txn: make([]byte, txn)})
		}
		arrived := 0
		bring := func(in []node.Input) {
			s.deliver(in)
			arrived++
		}
		go bring(bigPacket(1))
		go bring([]node.Input{node.ConnClosed{}})
		go bring([]node.Input{node.PacketReceived{Packet: wire.QuorumPacket{Type: wire.PacketRequest, Data: make([]byte, txn)}}})
		synctest.Wait()
		if arrived != 2 {
			t.Fatalf("%d inputs have arrived, want 2", arrived)
		}
		s.disk.appendedBytes(txn)
		synctest.Wait()
		if arrived != 2 {
			t.Fatal("it is too early")
		}
		s.disk.appendedBytes(txn)
		synctest.Wait()
		if arrived != 3 {
			t.Fatal("the disk has room")
		}
		s.disk.add(node.Append{Txn: make([]byte, txn)})
		go bring(bigPacket(1))
		synctest.Wait()
		s.disk.end()
		synctest.Wait()
		if arrived != 4 {
			t.Fatal("the end of the disk lets nobody go")
		}
	})
}
