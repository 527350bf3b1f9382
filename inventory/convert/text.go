package convert

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// Text is what a program has written, without a byte order mark and as UTF-8: PowerShell's redirection writes UTF-16.
func Text(written []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(written, []byte("\xef\xbb\xbf")):
		return written[3:]
	case bytes.HasPrefix(written, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(written, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return written
	}
	var units []uint16
	for b := written[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}
