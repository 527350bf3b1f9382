package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
)

// run starts a standalone server with these lines of zoo.cfg.
func run(t *testing.T, lines string) (*Server, *member) {
	t.Helper()
	m := newEnsemble(t, 1, lines)[0]
	cfg, err := config.Load(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err := s.open(vfs.OS); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	waitFor(t, "the server", func() bool { return m.mode() != "" })
	return s, m
}

// Writes wait for each other as long as the settings say, and share a sync; or do not.
func TestSyncsAreShared(t *testing.T) {
	const writes = 40
	for _, c := range []struct {
		lines       string
		atLeast     int64
		atMost      int64
		shortestRun time.Duration
	}{
		{"maxBatchSize=1\n", writes, 2 * writes, 0},
		{"flushDelay=400\nmaxWriteQueuePollTime=400\n", 1, writes / 4, 100 * time.Millisecond},
		{"flushDelay=400\nmaxWriteQueuePollTime=400\nmaxBatchSize=1\n", writes, 2 * writes, 0},
	} {
		s, m := run(t, c.lines)
		conn := m.connect()
		if _, err := conn.Create("/n", nil, 0, open); err != nil {
			t.Fatal(err)
		}
		syncs := func() int64 { n, _ := s.disk.metrics.FsyncTime.Total(); return int64(n) }
		before, began := syncs(), time.Now()
		var group sync.WaitGroup
		for i := range writes {
			group.Go(func() {
				if _, err := conn.Create(fmt.Sprintf("/n/%d", i), nil, 0, open); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		got, took := syncs()-before, time.Since(began)
		if got < c.atLeast || got > c.atMost || took < c.shortestRun {
			t.Errorf("%q: %d syncs for %d writes in %v, want %d to %d in %v or more", c.lines, got, writes, took, c.atLeast, c.atMost, c.shortestRun)
		}
	}
}

// entries reads the txns of a member's logs.
func entries(t *testing.T, m *member) []txn.Entry {
	t.Helper()
	dir := filepath.Join(m.dir, "data", "version-2")
	logs, err := txnlog.Files(vfs.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []txn.Entry
	for _, first := range logs {
		r, err := txnlog.OpenReader(vfs.OS, filepath.Join(dir, txnlog.Name(first)))
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			list = append(list, e)
		}
		r.Close()
	}
	return list
}

// A server can do without digests and without the lists of ephemeral nodes, and go on where one with both left off.
func TestDigestAndCloseSessionSettings(t *testing.T) {
	m := newEnsemble(t, 1, "")[0]
	text, err := os.ReadFile(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, lines := range []string{"", "digest.enabled=false\ncloseSessionTxn.enabled=false\nserializeLastProcessedZxid.enabled=true\n", ""} {
		if err := os.WriteFile(m.cfg, append(text, lines...), 0o644); err != nil {
			t.Fatal(err)
		}
		before := 0
		if i > 0 {
			before = len(entries(t, m))
		}
		startAll(t, []*member{m})
		conn := connect(t, m)
		if _, err := conn.Create(fmt.Sprintf("/e%d", i), nil, zk.FlagEphemeral, open); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		other := connect(t, m)
		waitFor(t, "the end of the ephemeral node", func() bool {
			ok, _, err := other.Exists(fmt.Sprintf("/e%d", i))
			return !ok && err == nil
		})
		other.Close()
		m.stop()
		var digests, lists, closes int
		for _, e := range entries(t, m)[before:] {
			if e.Digest != nil {
				digests++
			}
			if r, ok := e.Record.(*txn.CloseSession); ok {
				closes++
				if !r.NoList {
					lists++
				}
			}
		}
		if plain := lines == ""; closes == 0 || (digests > 0) != plain || (lists > 0) != plain {
			t.Errorf("%q: %d digests, %d of %d ends of sessions with a list", lines, digests, lists, closes)
		}
	}
}

// Members that may have lost their data do not vote before they got it back; with the file that says that they have not,
// they do.
func TestEmptyDatabasesDoNotVote(t *testing.T) {
	members := newEnsemble(t, 3, "db.autocreate=false\n")
	for _, m := range members {
		m.start()
	}
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if leaderOf(members) != nil {
			t.Fatal("members without data have elected a leader")
		}
	}
	for _, m := range members[:2] {
		m.stop()
		if err := os.WriteFile(filepath.Join(m.dir, "data", "initialize"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		m.start()
	}
	for _, m := range members {
		waitFor(t, "a member to serve", func() bool { return m.mode() != "" })
	}
	if mode := members[2].mode(); mode != "follower" {
		t.Errorf("the member without the file is %s", mode)
	}
	conn := connect(t, members...)
	if _, err := conn.Create("/n", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	// It has the data now, and votes like others.
	members[0].stop()
	waitFor(t, "a leader of two", func() bool { return leaderOf(members) != nil })
	waitFor(t, "a write", func() bool { _, err := conn.Set("/n", nil, -1); return err == nil })
}

// A member that missed more than memory has gets it from the log, if the settings allow.
func TestMissedTxnsComeFromTheLog(t *testing.T) {
	for _, c := range []struct {
		lines string
		sync  string
	}{
		{"snapshotSizeFactor=100000\n", "zk_diff_count"},
		{"snapshotSizeFactor=-1\n", "zk_snap_count"},
		{"snapshotSizeFactor=100000\nforceSnapshotSync=true\n", "zk_snap_count"},
	} {
		members := newEnsemble(t, 3, c.lines)
		startAll(t, members)
		late := members[0]
		if late.mode() == "leader" {
			late = members[1]
		}
		others := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m == late })
		conn := connect(t, others...) // which go on
		waitFor(t, "a write", func() bool { _, err := conn.Create("/n", nil, 0, open); return err == nil })
		own := late.connect()
		waitFor(t, "the write at every member", func() bool { ok, _, err := own.Exists("/n"); return ok && err == nil })
		own.Close()
		late.stop()
		write := func(i int) error {
			for deadline := time.Now().Add(30 * time.Second); ; { // the session may have been at the member that stopped
				_, err := conn.Create(fmt.Sprintf("/n/%d", i), nil, 0, open)
				if err == nil || errors.Is(err, zk.ErrNodeExists) {
					return nil
				}
				if time.Now().After(deadline) {
					return err
				}
			}
		}
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for i := range 200 {
					if err := write(w*200 + i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		leader := leaderOf(members)
		before := count(t, leader, c.sync)
		late.start()
		waitFor(t, "the member to follow", func() bool { return late.mode() == "follower" })
		if after := count(t, leader, c.sync); after != before+1 {
			t.Errorf("%q: %s rose from %d to %d", c.lines, c.sync, before, after)
		}
		own = late.connect()
		children, _, err := own.Children("/n")
		if err != nil || len(children) != 1600 {
			t.Errorf("%q: %d children, want 1600: %v", c.lines, len(children), err)
		}
		for _, m := range members {
			m.stop()
		}
	}
}

// count is a figure of mntr.
func count(t *testing.T, m *member, name string) int {
	t.Helper()
	for line := range strings.Lines(m.word("mntr")) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), "\t"); key == name {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("mntr has no %s", name)
	return 0
}

// Members with several addresses form an ensemble and tell of all of them.
func TestSeveralAddresses(t *testing.T) {
	members := newEnsemble(t, 3, "multiAddress.enabled=true\n")
	for _, m := range members {
		text, err := os.ReadFile(m.cfg)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if key, address, _ := strings.Cut(line, "="); strings.HasPrefix(key, "server.") {
				lines[i] = line + "|" + strings.Replace(address, "127.0.0.1", "127.0.0.2", 1)
			}
		}
		if err := os.WriteFile(m.cfg, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	startAll(t, members)
	conn := connect(t, members...)
	if _, err := conn.Create("/n", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	config, _, err := conn.Get("/zookeeper/config")
	if err != nil || strings.Count(string(config), "|127.0.0.2:") != 3 {
		t.Errorf("the configuration is %s, %v", config, err)
	}
}

// Of two members with an oracle the one that it names goes on alone, and the other follows when it comes back.
func TestOracle(t *testing.T) {
	members := newEnsemble(t, 2, "")
	oracle := func(m *member, word string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(m.dir, "oracle"), []byte(word), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range members {
		text, err := os.ReadFile(m.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.cfg, append([]byte("oraclePath="+m.dir+"/oracle\n"), text...), 0o644); err != nil {
			t.Fatal(err)
		}
		oracle(m, "0")
	}
	startAll(t, members)
	conn := connect(t, members...)
	set := func() bool {
		_, err := conn.Set("/n", nil, -1)
		return err == nil
	}
	if _, err := conn.Create("/n", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		leader := leaderOf(members)
		other := members[0]
		if other == leader {
			other = members[1]
		}
		leader.stop()
		waitFor(t, "the other one to look", func() bool { return other.mode() == "" })
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if mode := other.mode(); mode != "" {
				t.Fatalf("without the oracle's word the other one is %s", mode)
			}
		}
		oracle(other, "1\n")
		waitFor(t, "the other one to lead", func() bool { return other.mode() == "leader" })
		waitFor(t, "a write", set)
		leader.start()
		waitFor(t, "the old leader to follow", func() bool { return leader.mode() == "follower" })
		oracle(other, "0")
		waitFor(t, "a write", set)
	}
}
