package peer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// FuzzNextIsWhole: a packet is whole exactly if reading it does not need more.
func FuzzNextIsWhole(f *testing.F) {
	for i := range 4 {
		f.Add(numbered(i).Append(nil))
	}
	f.Add(wire.AppendInt32(make([]byte, 12), -2))
	f.Add(wire.AppendInt32(wire.AppendInt32(make([]byte, 12), -1), -7))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := range min(len(b), 200) + 1 {
			in := bufio.NewReaderSize(bytes.NewReader(b[:n]), max(len(b), 16))
			if n > 0 {
				if _, err := in.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			whole := nextIsWhole(in)
			_, err := wire.ReadQuorumPacket(in, 4096)
			short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if whole && short {
				t.Errorf("%x: said to be whole, but %v", b[:n], err)
			}
			if !whole && err == nil {
				t.Errorf("%x: said not to be whole", b[:n])
			}
		}
	})
}
