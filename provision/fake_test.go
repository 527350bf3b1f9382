package provision

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the server that the tests push to hosts: under the name zkserver it is a stand-in that opens
// the ports of zoo.cfg and elects the member with the highest id among a majority that it can reach.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "zkserver":
		os.Exit(fakeServer(os.Args[1:]))
	case "zkcli":
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type fakeMember struct {
	id       int
	election string
}

// readFakeConfig reads what the stand-in needs of a zoo.cfg.
func readFakeConfig(path string) (values map[string]string, members []fakeMember, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	values = map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		k, v, ok := strings.Cut(lines.Text(), "=")
		if !ok || strings.HasPrefix(k, "#") {
			continue
		}
		values[k] = v
		if n, isServer := strings.CutPrefix(k, "server."); isServer {
			id, _ := strconv.Atoi(n)
			parts := strings.Split(v, ":")
			members = append(members, fakeMember{id, net.JoinHostPort(parts[0], parts[2])})
		}
	}
	return values, members, nil
}

func fakeServer(args []string) int {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Println("zkserver fake")
		return 0
	}
	values, members, err := readFakeConfig(args[1])
	if err != nil {
		fmt.Println(err)
		return 2
	}
	if values["fake.refuse"] != "" {
		fmt.Println("zoo.cfg: fake.refuse is set")
		return 2
	}
	text, err := os.ReadFile(filepath.Join(values["dataDir"], "myid"))
	if err != nil {
		fmt.Println(err)
		return 2
	}
	id, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	for _, m := range members {
		if m.id != id {
			continue
		}
		l, err := net.Listen("tcp", m.election)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
	}
	// Who leads is found out when somebody asks: what was so a moment ago would be wrong for as long as a busy machine likes.
	mode := func() string {
		highest, alive := id, 1
		for _, m := range members {
			if m.id == id {
				continue
			}
			if conn, err := net.DialTimeout("tcp", m.election, time.Second); err == nil {
				conn.Close()
				highest = max(highest, m.id)
				alive++
			}
		}
		switch {
		case alive < len(members)/2+1:
			return ""
		case highest == id:
			return "leader"
		}
		return "follower"
	}
	clients, err := net.Listen("tcp", ":"+values["clientPort"])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	began := time.Now()
	go func() {
		for {
			conn, err := clients.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				word := make([]byte, 4)
				if _, err := io.ReadFull(conn, word); err != nil {
					return
				}
				m := mode()
				switch {
				case m == "":
					fmt.Fprint(conn, "This ZooKeeper instance is not currently serving requests\n")
				case string(word) == "srvr":
					fmt.Fprintf(conn, "Zookeeper version: 9.9.9-fake, built on 2026-01-01\nLatency min/avg/max: 0/0.5/2\nConnections: 1\nZxid: 0x100000002\nMode: %s\nNode count: 5\n", m)
				case string(word) == "mntr":
					fmt.Fprintf(conn, "zk_uptime\t%d\nzk_peer_state\t%sing - broadcast\n", time.Since(began).Milliseconds(), strings.TrimSuffix(m, "er"))
				}
			}()
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return 0
}
