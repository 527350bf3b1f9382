// Package recorded holds what was recorded of Apache ZooKeeper 3.8.0 servers, for tests that compare this server with
// them: conversations of clients, the transactions that were logged meanwhile, and the trees in the end.
//
//	client-session.txt ... client-java.txt   five parts of what one standalone server and its clients said
//	standalone.log, standalone-tree.json     what that server logged; the tree that a client saw then
//	client-ensemble.txt                      what three members and their clients said
//	ensemble.log, ensemble-tree.json         what the ensemble agreed on from its beginning; the tree in the end
//	election-start.txt ...                   votes of its members
package recorded

import (
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
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

// Conversation reads a file of messages between clients and servers.
func Conversation(t testing.TB, name string) []Message {
	t.Helper()
	var list []Message
	for _, m := range messages(t, name) {
		if len(m.data) > 0 {
			m.data = m.data[4:]
		}
		list = append(list, Message{
			Where: m.where, Conn: m.conn, FromServer: m.direction == "server->client", Kind: m.kind, Frame: m.data,
		})
	}
	return list
}

// Vote is a notification between two servers.
type Vote struct {
	From, To     wire.ServerID
	Notification wire.Notification
}

// Votes reads a file of messages between election ports.
func Votes(t testing.TB, name string) []Vote {
	t.Helper()
	var list []Vote
	for _, m := range messages(t, name) {
		if m.kind != "Notification" {
			continue
		}
		var v Vote
		if _, err := fmt.Sscanf(m.direction, "%d->%d", &v.From, &v.To); err != nil {
			t.Fatalf("%s: %v", m.where, err)
		}
		if err := v.Notification.Unmarshal(m.data[4:]); err != nil {
			t.Fatalf("%s: %v", m.where, err)
		}
		list = append(list, v)
	}
	return list
}

type message struct {
	where, direction, kind string
	conn                   int
	data                   []byte
}

// messages reads a file: a line that begins with @ names connection, direction and kind of a message; the lines behind it
// are its bytes.
func messages(t testing.TB, name string) []message {
	t.Helper()
	var list []message
	for i, line := range strings.Split(string(read(t, name)), "\n") {
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@':
			f := strings.Fields(line)
			conn, err := strconv.Atoi(strings.TrimPrefix(f[1], "conn="))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, message{
				where: fmt.Sprintf("%s:%d", name, i+1), conn: conn, direction: f[2], kind: f[3],
			})
		default:
			data, err := hex.DecodeString(line)
			if err != nil {
				t.Fatal(err)
			}
			m := &list[len(list)-1]
			m.data = append(m.data, data...)
		}
	}
	return list
}
