// Package recorded holds what was recorded of Apache ZooKeeper 3.8.0 servers, for tests that compare this server with
// them: conversations of clients, the transactions that were logged meanwhile, and the trees in the end.
//
//	client-session.txt ... client-java.txt   five parts of what one standalone server and its clients said
//	standalone.log, standalone-tree.json     what that server logged; the tree that a client saw then
//	client-ensemble.txt                      what three members and their clients said
//	ensemble.log, ensemble-tree.json         what the ensemble agreed on from its beginning; the tree in the end
package recorded

import (
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

//go:embed testdata
var files embed.FS

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Message is one frame between a client and a server, or the end of a connection.
type Message struct {
	// Where is file and line.
	Where string
	// Conn numbers the connections of a file from 1.
	Conn       int
	FromServer bool
	// Kind is what the message is, such as "request:create", "ConnectRequest", "WatcherEvent" or "FIN".
	Kind string
	// Frame is without the length before it; nil for the end of a connection.
	Frame []byte
}

// Conversation reads a file of messages. There a line that begins with @ names connection, direction and kind; the lines
// behind it are the bytes.
func Conversation(t testing.TB, name string) []Message {
	t.Helper()
	var list []Message
	for i, line := range strings.Split(string(read(t, name)), "\n") {
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@':
			f := strings.Fields(line)
			conn, err := strconv.Atoi(strings.TrimPrefix(f[1], "conn="))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, Message{
				Where: fmt.Sprintf("%s:%d", name, i+1), Conn: conn, FromServer: f[2] == "server->client", Kind: f[3],
			})
		default:
			data, err := hex.DecodeString(line)
			if err != nil {
				t.Fatal(err)
			}
			m := &list[len(list)-1]
			m.Frame = append(m.Frame, data...)
		}
	}
	for i := range list {
		if len(list[i].Frame) > 0 {
			list[i].Frame = list[i].Frame[4:]
		}
	}
	return list
}
