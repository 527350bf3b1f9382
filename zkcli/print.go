package zkcli

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/wire"
)

// printStat prints what is known of a znode; times are those of the local zone.
func (s *shell) printStat(st wire.Stat) {
	stamp := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	fmt.Fprintf(s.out, "cZxid = %v\nctime = %s\nmZxid = %v\nmtime = %s\npZxid = %v\ncversion = %d\ndataVersion = %d\naclVersion = %d\n"+
		"ephemeralOwner = %v\ndataLength = %d\nnumChildren = %d\n", st.Czxid, stamp(st.Ctime), st.Mzxid, stamp(st.Mtime), st.Pzxid,
		st.Cversion, st.Version, st.Aversion, wire.SessionID(st.EphemeralOwner), st.DataLength, st.NumChildren)
}

// printData prints data as text, or as the options -b and -x ask.
func (s *shell) printData(data []byte, a arguments) {
	if data == nil {
		data = []byte("null")
	}
	switch {
	case a.has("x"):
		fmt.Fprintln(s.out, hexDump(data))
	case a.has("b"):
		fmt.Fprintln(s.out, base64.StdEncoding.EncodeToString(data))
	default:
		fmt.Fprintln(s.out, javatext.Decode(data))
	}
}

// hexDump is a table of 16 bytes a row with their characters beside them; nothing for no data.
func hexDump(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	const rule = "+--------+-------------------------------------------------+----------------+"
	var b strings.Builder
	b.WriteString("         +-------------------------------------------------+\n")
	b.WriteString("         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n")
	b.WriteString(rule)
	for at := 0; at < len(data); at += 16 {
		row := data[at:min(at+16, len(data))]
		characters := []byte(strings.Repeat(" ", 16))
		for i, c := range row {
			characters[i] = c
			if c < ' ' || c > '~' {
				characters[i] = '.'
			}
		}
		var digits strings.Builder
		for _, c := range row {
			digits.WriteString(" " + hex.EncodeToString([]byte{c}))
		}
		fmt.Fprintf(&b, "\n|%08x|%-48s |%s|", at, digits.String(), characters)
	}
	b.WriteString("\n" + rule)
	return b.String()
}
