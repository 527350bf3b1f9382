package recorded

import (
	"encoding/binary"
	"testing"

	"github.com/zkctl/zkctl/server/txn"
)

// Log reads a file of transactions.
func Log(t testing.TB, name string) []txn.Entry {
	t.Helper()
	const (
		fileHeader   = 16
		recordHeader = 12 // checksum and length
	)
	var list []txn.Entry
	for b := read(t, name)[fileHeader:]; len(b) > 0; {
		end := recordHeader + int(binary.BigEndian.Uint32(b[8:]))
		e, err := txn.Decode(b[recordHeader:end])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
		b = b[end+1:]
	}
	return list
}
