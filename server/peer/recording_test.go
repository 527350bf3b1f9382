package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// message is one that was recorded between Apache ZooKeeper 3.8.0 servers. In testdata a line that begins with @ names
// connection, direction and kind; the lines behind it are its bytes.
type message struct {
	conn, way, kind string
	raw             []byte
}

func recorded(t *testing.T, name string) []message {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var list []message
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "@"):
			fields := strings.Fields(line)
			kind, _, _ := strings.Cut(strings.Join(fields[3:], " "), " len=")
			list = append(list, message{conn: fields[1], way: fields[2], kind: kind})
		default:
			b, err := hex.DecodeString(line)
			if err != nil {
				t.Fatal(err)
			}
			last := &list[len(list)-1]
			last.raw = append(last.raw, b...)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s: nothing recorded", name)
	}
	return list
}
