package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// plan makes a plan, in the form in which it is kept.
func (s *site) plan() *Document {
	s.t.Helper()
	r := s.run()
	defer r.Close()
	_, doc, err := r.Plan(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if n := s.writes(); n != 0 {
		s.t.Errorf("a plan made %d writes", n)
	}
	read, ok, err := ParseDocument(doc.Marshal())
	if !ok || err != nil {
		s.t.Fatal(err)
	}
	return read
}

func (s *site) apply(agreed *Document) (*Outcome, error) {
	r := s.run()
	defer r.Close()
	return r.Apply(s.t.Context(), agreed)
}

func TestPlan(t *testing.T) {
	s := newSite(t, 3)
	first := s.plan()
	if len(first.Starts) != 3 || len(first.Changes) == 0 || first.Nothing() {
		t.Errorf("plan for bare hosts: %+v", first)
	}
	if again := s.plan(); !bytes.Equal(again.Marshal(), first.Marshal()) {
		t.Error("two plans differ")
	}
	if _, err := s.apply(first); err != nil {
		t.Fatal(err)
	}
	if done := s.plan(); !done.Nothing() {
		t.Errorf("after apply: %s", done.Marshal())
	}
	// What was done already is no hindrance.
	if out, err := s.apply(first); err != nil || !out.Nothing() || s.writes() != 0 {
		t.Errorf("applied again: %+v, %v, %d writes", out, err, s.writes())
	}

	s.extra = "zoo_cfg: {maxClientCnxns: 77}\nzoo_cfg_extra: {ssl.keyStore.password: hunter2}\n"
	change := s.plan()
	text := string(change.Marshal())
	if strings.Contains(text, "hunter2") {
		t.Errorf("the plan tells a password:\n%s", text)
	}
	if len(change.Restarts) != 3 || change.Restarts[2].Host != "m3" || change.Elections != 1 || len(change.Settings) != 6 {
		t.Errorf("restarts %v, %d elections, settings %v", change.Restarts, change.Elections, change.Settings)
	}
	if first := change.Settings[0]; first != (SettingChange{"m1", "maxClientCnxns", "", "77", Restart}) {
		t.Errorf("setting %+v", first)
	}
	if _, err := s.apply(change); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"conf/zoo.cfg", "data/started-with"} {
		if info, err := os.Stat(filepath.Join(s.dir, "m1", file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s with a password: mode %v, %v", file, info.Mode(), err)
		}
	}
	if done := s.plan(); !done.Nothing() {
		t.Errorf("after apply with a password: %s", done.Marshal())
	}
}

// A zoo.cfg with a password is for root and the service alone, whoever could read it before.
func TestConfigWithAPassword(t *testing.T) {
	parse := func(text string) member {
		t.Helper()
		inv, err := inventory.Parse("inventory.yaml", []byte("name: lab\nhosts: [{name: a, address: 10.0.0.11, id: 1}]\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return member{Member: templates.Member{Ensemble: inv, Host: inv.Hosts[0]}, facts: &hostprep.Facts{Files: map[string]remote.FileState{}, Contents: map[string][]byte{}}}
	}
	const password = "zoo_cfg_extra: {ssl.quorum.trustStore.password: hunter2}\n"
	known := parse(password)
	known.facts.Accounts = map[string]hostprep.Account{"zookeeper": {Group: "zk"}}
	for _, c := range []struct {
		m     member
		mode  fs.FileMode
		group string
	}{
		{parse(""), 0o644, ""},
		{parse("zoo_cfg_extra: {ssl.quorum.trustStore.passwordPath: /etc/zk/pass}\n"), 0o644, ""},
		{parse(password), 0o640, "zookeeper"},
		{parse("zoo_cfg: {DigestAuthenticationProvider.superDigest: \"super:x\"}\n"), 0o640, "zookeeper"},
		{known, 0o640, "zk"},
		{parse("connection: local\nbecome: {method: none}\nsystem: {service_manager: supervisor}\n" + password), 0o600, ""},
	} {
		if mode, group := c.m.configAccess(); mode != c.mode || group != c.group {
			t.Errorf("%v: mode %04o, group %q; want %04o, %q", c.m.Host.ZooCfg, mode, group, c.mode, c.group)
		}
	}
	content := templates.ZooCfg(known.Member)
	known.facts.Contents[known.Config()] = content
	known.facts.Files[known.Config()] = remote.FileState{Exists: true, Kind: "file", Mode: 0o640, Owner: "root", Group: "root"}
	changes := known.fileOfGroup(known.Config(), content, 0o640, "root", "zk")
	if len(changes) != 1 || changes[0].Group != "zk" || !strings.Contains(changes[0].Summary, "group from root to zk") {
		t.Errorf("with another group: %+v", changes)
	}
}

// Passwords are hidden in whichever form somebody has written them.
func TestRedacted(t *testing.T) {
	const text = `# password=of nobody
tickTime=2000
ssl.keyStore.password=hunter2
  ssl.trustStore.password : hunter2
ssl.quorum.keyStore.password hunter2
ssl.quorum.trustStore.password=hun\
ter2\
hunter2
ssl.keyStore.passwordPath=/etc/pass`
	const want = `# password=of nobody
tickTime=2000
ssl.keyStore.password=********
  ssl.trustStore.password ********
ssl.quorum.keyStore.password ********
ssl.quorum.trustStore.password=********
ssl.keyStore.passwordPath=/etc/pass`
	if got := string(redacted([]byte(text))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A plan is carried out only where hosts and inventory are what they were when it was made.
func TestApplyRefusesDrift(t *testing.T) {
	for name, c := range map[string]struct {
		drift func(*testing.T, *site)
		want  string
	}{
		"a file of the plan": {func(t *testing.T, s *site) {
			edit(t, filepath.Join(s.dir, "m2/conf/zoo.cfg"), "tickTime=2000", "tickTime=4000")
		}, "m2: " + "DIR/m2/conf/zoo.cfg is not what the plan saw"},
		"another file": {func(t *testing.T, s *site) {
			edit(t, filepath.Join(s.dir, "m3/install/bin/zkCli.sh"), "#!", "# !")
		}, "m3: not in the plan: change DIR/m3/install/bin/zkCli.sh"},
		"a member was stopped": {func(t *testing.T, s *site) {
			r := s.run()
			defer r.Close()
			if _, err := r.Stop(t.Context(), []string{"m1"}, false); err != nil {
				t.Fatal(err)
			}
		}, "m1: does not run any more"},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "a file of the plan" {
				long(t)
			}
			s := newSite(t, 3)
			s.bootstrap()
			s.extra = "zoo_cfg: {maxClientCnxns: 77}\n"
			doc := s.plan()
			c.drift(t, s)
			_, err := s.apply(doc)
			var drift *DriftError
			if want := strings.ReplaceAll(c.want, "DIR", s.dir); !errors.As(err, &drift) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if s.writes() != 0 {
				t.Errorf("%d writes", s.writes())
			}
		})
	}
	d := &Document{Ensemble: "a", Inventory: FileRef{SHA256: "1"}, Version: "1", Hosts: []PlannedHost{{"h", "x", "m1"}}}
	err := d.permits(&Document{Ensemble: "a", Inventory: FileRef{SHA256: "2"}, Version: "2", Hosts: []PlannedHost{{"h", "x", "m2"}}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("an edited inventory, another version, another machine: %v", err)
	}
}

func edit(t *testing.T, file, old, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s: no %q: %v", file, old, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(text), 1), info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// An edit by hand that no server has seen is taken back without a restart.
func TestApplyTakesBackAnEditWithoutRestart(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	edit(t, filepath.Join(s.dir, "m2/conf/zoo.cfg"), "tickTime=2000", "tickTime=4000")
	out, err := s.apply(nil)
	if err != nil || out.Plan.Len() != 1 || len(out.Restarts) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// Who was taken out of the inventory, and may still run, is told of.
func TestRetired(t *testing.T) {
	s := newSite(t, 3)
	r := &Run{Inventory: s.inventory()}
	cfg := []byte("server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\nserver.12=o:1:2:observer\nserver.5=e:1:2:participant\n")
	m := member{Member: templates.Member{Host: r.Inventory.Hosts[0]}, running: true, started: cfg}
	if got := r.retired([]member{m}, identities{roster: roster{5: "zk5"}}); !slices.Equal(got, []string{"zk5 (server 5)", "server 12"}) {
		t.Errorf("%q", got)
	}
	m.running = false
	if got := r.retired([]member{m}, identities{}); got != nil {
		t.Errorf("of a member that does not run: %q", got)
	}
}

func TestVotersMayChange(t *testing.T) {
	s := newSite(t, 3)
	inv := s.inventory()
	for _, c := range []struct {
		had     []int
		allowed bool
	}{
		{[]int{1, 2, 3}, true},
		{[]int{1, 2}, true},            // one joins
		{[]int{1, 2, 3, 4}, true},      // one leaves
		{[]int{1}, false},              // two join one
		{[]int{1, 2, 4}, false},        // one is replaced
		{[]int{1, 2, 3, 4, 5}, false},  // two leave
		{nil, true},                    // a server alone
		{[]int{1, 2, 3, 4, 40}, false}, // the same, whatever they are called
	} {
		var cfg strings.Builder
		for _, id := range c.had {
			fmt.Fprintf(&cfg, "server.%d=h%d:1:2:participant\n", id, id)
		}
		cfg.WriteString("server.99=h:1:2:observer\n")
		m := member{Member: templates.Member{Host: inv.Hosts[0]}, running: true, started: []byte(cfg.String())}
		err := votersMayChange([]member{m}, inv)
		var refused *RefusedError
		if (err == nil) != c.allowed || err != nil && !errors.As(err, &refused) {
			t.Errorf("from %v: %v", c.had, err)
		}
	}
	if got := quorumIn([]byte("server.1=a:1:2;3\nserver.2=b:1:2:observer;3\n server.7 = c:1:2:participant\n")).Voters(); !slices.Equal(got, []int{1, 7}) {
		t.Errorf("voters %v", got)
	}
}
