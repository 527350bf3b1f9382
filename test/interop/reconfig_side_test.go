//go:build interop

package interop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// reconfigSide is an ensemble with sessions.
type reconfigSide struct {
	t            *testing.T
	e            *ensemble.Ensemble
	super, plain *client.Client
	watchers     []*watcher
	version      int64
	seen         []observed
	replacer     *strings.Replacer
}

// watcher is a session that watches the membership in each way.
type watcher struct {
	at     int
	client *client.Client
	mu     sync.Mutex
	events []string
}

func newReconfigSide(t *testing.T, kind ensemble.Kind) *reconfigSide {
	e := layOutWith(t, ensemble.Settings{
		TickTime: time.Second, Dynamic: true, // syncLimit is the time for which followers may be held up
		Extra: []string{"minSessionTimeout=6000", "maxSessionTimeout=40000", "DigestAuthenticationProvider.superDigest=" + superDigest},
	}, kind, kind, kind)
	must(t, e.Add(kind, kind, kind, kind))
	must(t, e.Start(2, 3))
	must(t, ensemble.Until(patience, "3 leads", func() bool { return e.Member(3).Mode() == "leader" }))
	must(t, e.Start(1))
	must(t, ensemble.Until(patience, "1 and 2 follow", func() bool {
		return e.Member(1).Mode() == "follower" && e.Member(2).Mode() == "follower"
	}))
	must(t, e.Join(e.Member(4), e.Member(1), e.Member(2), e.Member(3)))
	must(t, ensemble.Until(patience, "4 follows", func() bool { return e.Member(4).Mode() == "follower" }))
	s := &reconfigSide{t: t, e: e}
	var pairs []string
	for _, m := range e.Members() {
		_, quorum, _ := strings.Cut(strings.Split(m.Line(), ":participant")[0], "=")
		pairs = append(pairs, quorum, fmt.Sprintf("[%d:quorum]", m.ID), m.Addr(), fmt.Sprintf("[%d:client]", m.ID), m.Dir, fmt.Sprintf("DIR%d", m.ID))
	}
	s.replacer = strings.NewReplacer(pairs...)
	s.super, s.plain = s.dial(1, nil), s.dial(1, nil)
	s.super.AddAuth("digest", []byte(superUser))
	for _, at := range []int{2, 3} {
		w := &watcher{at: at}
		w.client = s.dial(at, w)
		s.watchers = append(s.watchers, w)
	}
	return s
}

func (s *reconfigSide) dial(at int, w *watcher) *client.Client {
	c, err := client.Connect(s.e.Member(at).Addr(), client.Options{SessionTimeout: 30 * time.Second, OnEvent: func(e client.Event) {
		if w != nil && e.Type != client.None {
			w.mu.Lock()
			w.events = append(w.events, e.String())
			w.mu.Unlock()
		}
	}})
	must(s.t, err)
	s.t.Cleanup(c.Disconnect)
	return c
}

func (s *reconfigSide) timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.t.Context(), patience)
}

// ask plays all of it. It only uses what may be used in a goroutine of its own.
func (s *reconfigSide) ask() {
	s.observe("as it begins", s.settled(0)...)
	for _, q := range reconfigRequests {
		s.watch()
		s.observe(q.name, s.reconfig(q)...)
		s.seen[len(s.seen)-1].refused = q.refused
	}
	s.watch()
	s.observe("while another one waits", s.inProgress()...)
	s.restart()
	s.observe("after a restart", s.settled(s.version)...)
	s.watch()
	s.observe("after a restart it goes on", s.reconfig(joins("", "[4]"))...)
}

func (s *reconfigSide) observe(name string, lines ...string) {
	s.seen = append(s.seen, observed{name: name, lines: lines})
}

// watch sets every kind of watch that is not there any more.
func (s *reconfigSide) watch() {
	ctx, cancel := s.timeout()
	defer cancel()
	for _, w := range s.watchers {
		_, _, err := w.client.Config(ctx, true)
		_, err2 := w.client.Exists(ctx, client.ConfigPath, true)
		err3 := w.client.AddWatch(ctx, "/zookeeper", wire.AddWatchPersistentRecursive)
		_, _, err4 := w.client.Children(ctx, "/zookeeper", true)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			s.observe("watch", err.Error())
		}
	}
}

func (s *reconfigSide) request(q asked) wire.ReconfigRequest {
	r := wire.ReconfigRequest{ConfigID: cmp.Or(q.version, -1)}
	if q.version == current {
		r.ConfigID = s.version
	}
	for from, to := range map[**string]**string{&q.joining: &r.Joining, &q.leaving: &r.Leaving, &q.full: &r.NewMembers} {
		if *from == nil {
			continue
		}
		text := **from
		for _, m := range s.e.Members() {
			_, quorum, _ := strings.Cut(strings.Split(m.Line(), ":participant")[0], "=")
			text = strings.NewReplacer(fmt.Sprintf("[%d]", m.ID), m.Line(), fmt.Sprintf("[%d:quorum]", m.ID), quorum,
				fmt.Sprintf("[%d:client]", m.ID), m.Addr()).Replace(text)
		}
		*to = &text
	}
	return r
}

// reconfig asks once, and returns what came of it.
func (s *reconfigSide) reconfig(q asked) []string {
	ctx, cancel := s.timeout()
	defer cancel()
	c := s.super
	if q.plain {
		c = s.plain
	}
	text, stat, err := c.Reconfig(ctx, s.request(q))
	return s.outcome(text, stat, err)
}

func (s *reconfigSide) outcome(text []byte, stat wire.Stat, err error) []string {
	lines := []string{"code " + fmt.Sprint(int(client.Code(err)))}
	if err != nil && client.Code(err) == wire.ErrSystem {
		lines = append(lines, err.Error())
	}
	if err == nil {
		s.version = int64(stat.Mzxid)
		lines = append(lines, s.alike(string(text), stat))
	}
	return append(lines, s.settled(s.version)...)
}

var versions = regexp.MustCompile(`\b[12]00000[0-9a-f]{3}\b`)

// alike is a membership with its stat, as far as it must be the same at both.
func (s *reconfigSide) alike(text string, stat wire.Stat) string {
	if want := fmt.Sprintf("\nversion=%x", int64(stat.Mzxid)); !strings.HasSuffix(text, want) {
		text += fmt.Sprintf(" BUT the zxid is %v", stat.Mzxid)
	}
	if since := time.Since(time.UnixMilli(stat.Mtime)); since > 2*time.Minute || since < -time.Minute {
		text += fmt.Sprintf(" AND mtime is %v ago", since)
	}
	return fmt.Sprintf("%q czxid %v ctime %d pzxid %v version %d cversion %d aversion %d owner %v length %d children %d",
		versions.ReplaceAllString(s.replacer.Replace(text), "VERSION"), stat.Czxid, stat.Ctime, stat.Pzxid, stat.Version, stat.Cversion, stat.Aversion,
		stat.EphemeralOwner, stat.DataLength, stat.NumChildren)
}

// settled waits until the members show this version, and returns what they show, what the watchers were told, and the files.
func (s *reconfigSide) settled(version int64) (lines []string) {
	ctx, cancel := s.timeout()
	defer cancel()
	for _, m := range s.e.Members() {
		if !m.Running() {
			continue
		}
		c := s.dial(m.ID, nil)
		var text []byte
		var stat wire.Stat
		err := ensemble.Until(patience, "the membership at a member", func() (there bool) {
			var err error
			text, stat, err = c.Config(ctx, false)
			return err == nil && int64(stat.Mzxid) >= version
		})
		c.Close(ctx)
		if err != nil {
			lines = append(lines, fmt.Sprintf("member %d: %v: %x", m.ID, err, int64(stat.Mzxid)))
			continue
		}
		lines = append(lines, fmt.Sprintf("member %d: %s", m.ID, s.alike(string(text), stat)))
	}
	for _, w := range s.watchers {
		if err := ensemble.Until(patience, "an answer to a watcher", func() bool { // what comes before it has come then
			_, _, err := w.client.Config(ctx, false)
			return err == nil
		}); err != nil {
			lines = append(lines, err.Error())
		}
		w.mu.Lock()
		lines = append(lines, fmt.Sprintf("told at %d: %q", w.at, w.events))
		w.events = nil
		w.mu.Unlock()
	}
	for _, m := range s.e.Members() {
		if m.Running() {
			lines = append(lines, s.files(m, version)...)
		}
	}
	return lines
}

// files are those of a member, the dynamic files of earlier versions left out.
func (s *reconfigSide) files(m *ensemble.Member, version int64) (lines []string) {
	if version != 0 { // they are written after the membership has been shown
		name := filepath.Join(m.Dir, fmt.Sprintf("zoo.cfg.dynamic.%x", version))
		if err := ensemble.Until(5*time.Second, name, func() bool {
			text, _ := os.ReadFile(filepath.Join(m.Dir, "zoo.cfg"))
			_, next := os.Stat(filepath.Join(m.Dir, "zoo.cfg.dynamic.next"))
			return strings.Contains(string(text), name) && next != nil
		}); err != nil {
			lines = append(lines, s.replacer.Replace(versions.ReplaceAllString(err.Error(), "VERSION")))
		}
	}
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return append(lines, err.Error())
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, "zoo.cfg") {
			text, err := os.ReadFile(filepath.Join(m.Dir, name))
			if dynamic := strings.Contains(name, ".dynamic."); dynamic && !strings.HasSuffix(name, fmt.Sprintf(".%x", version)) && !strings.HasSuffix(name, ".next") {
				continue
			} else if !dynamic { // Apache ZooKeeper writes zoo.cfg in the order of a hash table
				sorted := strings.Split(varies.ReplaceAllString(string(text), ""), "\n")
				slices.Sort(sorted)
				text = []byte(strings.TrimSpace(strings.Join(sorted, "\n")))
			}
			lines = append(lines, versions.ReplaceAllString(s.replacer.Replace(fmt.Sprintf("member %d: %s: %q %v", m.ID, name, text, err)), "VERSION"))
		}
	}
	return lines
}

// varies is what must not be equal in zoo.cfg: a comment with the date, and a port that tests choose.
var varies = regexp.MustCompile(`(?m)^(#.*|admin.serverPort=.*)$`)

// inProgress asks for a second reconfiguration while the followers, who are held up, have not acknowledged the first.
func (s *reconfigSide) inProgress() []string {
	ctx, cancel := s.timeout()
	defer cancel()
	leader, other := s.dial(3, nil), s.dial(3, nil)
	for _, c := range []*client.Client{leader, other} {
		c.AddAuth("digest", []byte(superUser))
		if _, err := c.WhoAmI(ctx); err != nil {
			return []string{err.Error()}
		}
	}
	for _, id := range []int{1, 2, 4} {
		if err := s.e.Member(id).Signal(syscall.SIGSTOP); err != nil {
			return []string{err.Error()}
		}
	}
	var text []byte
	var stat wire.Stat
	var err error
	var both sync.WaitGroup
	both.Go(func() { text, stat, err = leader.Reconfig(ctx, s.request(joins("", "[1]"))) })
	waits := ensemble.Until(5*time.Second, "the first is proposed", func() bool {
		_, err := os.Stat(filepath.Join(s.e.Member(3).Dir, "zoo.cfg.dynamic.next"))
		return err == nil
	})
	var second error
	both.Go(func() { _, _, second = other.Reconfig(ctx, s.request(joins("", "[2]"))) })
	prepared := ensemble.Until(8*time.Second, "the second is in process", func() bool {
		return s.e.Member(3).Srvr()["Outstanding"] >= "2"
	})
	for _, id := range []int{1, 2, 4} {
		if err := s.e.Member(id).Signal(syscall.SIGCONT); err != nil {
			return []string{err.Error()}
		}
	}
	both.Wait()
	return append([]string{fmt.Sprint(waits, prepared), fmt.Sprint("second: ", int(client.Code(second)))}, s.outcome(text, stat, err)...)
}

// restart stops the three members and starts them again, the later leader and one more first.
func (s *reconfigSide) restart() {
	var errs []error
	for _, id := range []int{1, 2, 4, 3} {
		errs = append(errs, s.e.Member(id).Stop())
	}
	errs = append(errs, s.e.Start(2, 3))
	errs = append(errs, ensemble.Until(patience, "3 leads", func() bool { return s.e.Member(3).Mode() == "leader" }))
	errs = append(errs, s.e.Start(1), s.e.Join(s.e.Member(4), s.e.Member(1), s.e.Member(2), s.e.Member(3)))
	errs = append(errs, ensemble.Until(patience, "all follow", func() bool {
		return s.e.Member(1).Mode() == "follower" && s.e.Member(4).Mode() == "follower"
	}))
	if err := errors.Join(errs...); err != nil {
		s.observe("restart", err.Error())
	}
}
