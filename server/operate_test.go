package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
)

// administer gives the members an AdminServer, and returns the addresses.
func administer(t *testing.T, members []*member, more string) []string {
	t.Helper()
	var addresses []string
	for i, port := range freePorts(t, len(members)) {
		text, err := os.ReadFile(members[i].cfg)
		if err != nil {
			t.Fatal(err)
		}
		settings := fmt.Sprintf("admin.serverAddress=127.0.0.1\nadmin.serverPort=%d\nserializeLastProcessedZxid.enabled=true\n"+
			"admin.rateLimiterIntervalInMS=0\n%s", port, more)
		text = bytes.Replace(text, []byte("admin.enableServer=false\n"), []byte(settings), 1)
		if err := os.WriteFile(members[i].cfg, text, 0o644); err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, "127.0.0.1:"+strconv.Itoa(port))
	}
	return addresses
}

// command asks for a command of an AdminServer, with a body if there is one.
func command(address, name string, body []byte, authorization string) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/commands/"+name, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Authorization", authorization)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	return a.StatusCode, a.Header, answer, err
}

const anybody = "digest somebody:secret"

func takeSnapshot(t *testing.T, address string) []byte {
	t.Helper()
	status, header, body, err := command(address, "snapshot", nil, anybody)
	if status != http.StatusOK || err != nil || header.Get("snapshot_size") != strconv.Itoa(len(body)) {
		t.Fatalf("snapshot: status %d, %v, %v, %d bytes", status, err, header, len(body))
	}
	return body
}

func restore(t *testing.T, address string, snapshot []byte) {
	t.Helper()
	if status, _, answer, err := command(address, "restore", snapshot, anybody); status != http.StatusOK || err != nil {
		t.Fatalf("restore: status %d, %v, %s", status, err, answer)
	}
}

func create(t *testing.T, c *zk.Conn, path string) {
	t.Helper()
	if _, err := c.Create(path, nil, 0, open); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

// expectNodes asks a new connection to each member.
func expectNodes(t *testing.T, members []*member, want map[string]bool) {
	t.Helper()
	for i, m := range members {
		c := m.connect()
		if _, err := c.Sync("/"); err != nil {
			t.Fatal(err)
		}
		for path, want := range want {
			if there, _, err := c.Exists(path); err != nil || there != want {
				t.Errorf("server %d: %s is there: %v, %v", i+1, path, there, err)
			}
		}
		c.Close()
	}
}

func TestSnapshotWhileWriting(t *testing.T) {
	members := newEnsemble(t, 1, "")
	admin := administer(t, members, "")[0]
	startAll(t, members)
	c := members[0].connect()
	create(t, c, "/base")
	ctx, cancel := context.WithCancel(context.Background())
	written := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := c.Create(fmt.Sprintf("/base/%06d", n), make([]byte, 100), 0, open); err != nil {
				t.Errorf("create %d: %v", n, err)
				break
			}
		}
		written <- n
	}()
	var last *tree.Tree
	for range 20 {
		got, err := snap.ReadFile(bytes.NewReader(takeSnapshot(t, admin)), 0, tree.Options{})
		if err != nil {
			t.Fatal(err)
		}
		last = got.Tree
	}
	cancel()
	if n := <-written; n == 0 || last.NodeCount() < 5 {
		t.Errorf("%d nodes written, %d in the last snapshot", n, last.NodeCount())
	}
	if status, header, body, err := command(admin, "snapshot?streaming=false", nil, anybody); status != http.StatusOK || err != nil ||
		header.Get("last_zxid") == "" || !strings.Contains(string(body), `"error" : null`) {
		t.Errorf("status %d, %v, %v, %s", status, err, header, body)
	}
}

func TestRestoreStandalone(t *testing.T) {
	members := newEnsemble(t, 1, "snapshot.compression.method=gz\n")
	admin := administer(t, members, "")[0]
	m := members[0]
	startAll(t, members)
	c := m.connect()
	create(t, c, "/a")
	snapshot := takeSnapshot(t, admin)
	create(t, c, "/b")
	for name, body := range map[string][]byte{
		"not a snapshot": []byte("this is not a snapshot"), "half a snapshot": snapshot[:len(snapshot)/2], "a wrong checksum": flipped(snapshot),
	} {
		if status, _, answer, err := command(admin, "restore", body, anybody); status != http.StatusInternalServerError || err != nil {
			t.Errorf("%s: status %d, %v, %s", name, status, err, answer)
		}
	}
	expectNodes(t, members, map[string]bool{"/a": true, "/b": true})

	restore(t, admin, snapshot)
	expectNodes(t, members, map[string]bool{"/a": true, "/b": false})
	// The client's session goes on: it is part of the snapshot.
	session := c.SessionID()
	waitFor(t, "the session to go on", func() bool {
		_, err := c.Create("/c", nil, 0, open)
		return err == nil || errors.Is(err, zk.ErrNodeExists)
	})
	if c.SessionID() != session {
		t.Errorf("session %x, then %x", session, c.SessionID())
	}
	m.stop()
	startAll(t, members)
	expectNodes(t, members, map[string]bool{"/a": true, "/b": false, "/c": true})
}

// flipped has another bit in the middle.
func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 0x10
	return b
}

// In an ensemble it is enough to restore at the leader; whoever does it at each server, as with Apache ZooKeeper, gets the
// same.
func TestRestoreEnsemble(t *testing.T) {
	members := newEnsemble(t, 3, "")
	admins := administer(t, members, "")
	startAll(t, members)
	c := connect(t, members...)
	create(t, c, "/a")
	expectNodes(t, members, map[string]bool{"/a": true})
	var snapshots [][]byte
	for _, admin := range admins {
		snapshots = append(snapshots, takeSnapshot(t, admin))
	}
	leader := leaderOf(members)
	var leads int
	for i, m := range members {
		if m == leader {
			leads = i
		}
	}
	settled := func() {
		t.Helper()
		waitFor(t, "everybody to serve", func() bool {
			for _, m := range members {
				if m.mode() == "" {
					return false
				}
			}
			return true
		})
	}
	restoredAt := func(at ...int) {
		t.Helper()
		create(t, connect(t, members...), "/b")
		for _, i := range at {
			restore(t, admins[i], snapshots[(i+1)%3]) // of another server
			settled()
		}
		if leaderOf(members) != leader {
			t.Error("another server leads")
		}
		expectNodes(t, members, map[string]bool{"/a": true, "/b": false})
	}
	followers := []int{(leads + 1) % 3, (leads + 2) % 3}
	restoredAt(leads)
	restoredAt(leads, followers[0], followers[1])
	restoredAt(followers[0], followers[1], leads)

	create(t, connect(t, members...), "/c")
	for _, m := range members {
		m.stop()
	}
	startAll(t, members)
	expectNodes(t, members, map[string]bool{"/a": true, "/b": false, "/c": true})
}

// Only who may do everything with the root gets a snapshot or restores one.
func TestOperatorsAreAuthorized(t *testing.T) {
	const super = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=\n" // super:test
	members := newEnsemble(t, 1, super)
	admin := administer(t, members, "")[0]
	startAll(t, members)
	c := members[0].connect()
	if _, err := c.SetACL("/", append(zk.DigestACL(zk.PermAll, "root", "secret"), append(zk.DigestACL(zk.PermRead, "guest", "guest"),
		zk.ACL{Perms: zk.PermAll, Scheme: "ip", ID: "127.0.0.0/8"})...), -1); err != nil {
		t.Fatal(err)
	}
	expect := func(want map[string]int) {
		t.Helper()
		for authorization, status := range want {
			if got, _, answer, err := command(admin, "snapshot", nil, authorization); got != status || err != nil {
				t.Errorf("%q: status %d, want %d; %v, %.100s", authorization, got, status, err, answer)
			}
		}
	}
	expect(map[string]int{
		"digest root:secret": 200, "digest root:wrong": 403, "digest guest:guest": 403, "digest super:test": 200, "digest super:wrong": 403,
		"ip": 200, "x509": 401, "super": 401, "super test": 401, "world anyone": 401, "auth": 401, "sasl root": 401, "Basic cm9vdDpzZWNyZXQ=": 401,
	})
	if err := c.AddAuth("digest", []byte("root:secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetACL("/", zk.DigestACL(zk.PermAll, "root", "secret"), -1); err != nil {
		t.Fatal(err)
	}
	expect(map[string]int{"digest root:secret": 200, "ip": 403, "ip 127.0.0.1": 403})
}
