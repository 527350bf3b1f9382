package provision

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

// stop stops all members.
func (s *site) stop() {
	s.t.Helper()
	r := s.run()
	defer r.Close()
	if _, err := r.Stop(s.t.Context(), nil, true); err != nil {
		s.t.Fatal(err)
	}
}

// refuses expects that nothing is begun, for a reason.
func (s *site) refuses(want ...string) {
	s.t.Helper()
	_, err := s.apply(nil)
	if !errors.Is(err, ErrChecks) {
		s.t.Errorf("error %v", err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			s.t.Errorf("error %v, want %q", err, w)
		}
	}
	if s.writes() != 0 {
		s.t.Errorf("%d writes", s.writes())
	}
}

// Data that is not a member's own is refused, wherever it comes from.
func TestForeignData(t *testing.T) {
	s := newSite(t, 3)
	s.bootstrap()
	stamp, err := os.ReadFile(filepath.Join(s.dir, "m1/data/zkctl.stamp"))
	if err != nil {
		t.Fatal(err)
	}
	first, ok := parseIdentity(stamp)
	if !ok || first.Ensemble != "site" || first.Server != 1 || len(first.EnsembleID) != 36 {
		t.Errorf("stamp %+v", first)
	}
	s.stop()
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	// Two members' disks are swapped.
	move("m1/data", "aside")
	move("m2/data", "m1/data")
	move("aside", "m2/data")
	s.refuses("m1: data: "+s.dir+"/m1/data belongs to server 2 (m2), this is server 1", "m2: data: ", "mount the member's own disk")
	move("m1/data", "aside")
	move("m2/data", "m1/data")
	move("aside", "m2/data")

	// A disk comes from an ensemble of the same name.
	other := first
	other.EnsembleID, other.Server = newEnsembleID(), 3
	write := func(file string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m3 := filepath.Join(s.dir, "m3/data/zkctl.stamp")
	mine, err := os.ReadFile(m3)
	if err != nil {
		t.Fatal(err)
	}
	write(m3, other.Marshal())
	s.refuses("m3: data: ", "another past", other.EnsembleID)
	// A disk comes from an ensemble of another name.
	other.Ensemble = "elsewhere"
	write(m3, other.Marshal())
	s.refuses("belongs to server 3 of the ensemble elsewhere")
	// Data without a stamp.
	if err := os.Remove(m3); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(s.dir, "m3/data/version-2/log.1"), nil)
	s.refuses("m3: data: ", "without a stamp, and this member's had one", "--adopt-data")

	// A disk is not mounted: the directory below is empty, or not even there.
	write(m3, mine)
	move("m3/data", "aside")
	s.refuses("m3: data: ", "is empty, and this member had data there", "--adopt-data")
	move("aside", "m3/data")

	// A restart after all of that finds the ensemble as it was.
	if out := s.bootstrap(); out.Verdict.Health != Healthy || out.Plan.Len() != 0 {
		t.Errorf("at the end: %+v", out)
	}
	if now, err := os.ReadFile(filepath.Join(s.dir, "m1/data/zkctl.stamp")); err != nil || string(now) != string(stamp) {
		t.Errorf("the stamp changed: %s, %v", now, err)
	}
}

// Txn logs on a disk of their own have a stamp there: a member without them would have forgotten what it acknowledged.
func TestTxnLogsAreLost(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.paths = `txn_log: "{{ .name }}/logs", `
	// Logs that were there before.
	logs := filepath.Join(s.dir, "m3/logs")
	if err := os.MkdirAll(filepath.Join(logs, "version-2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "version-2/log.1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.refuses("m3: data: " + logs + " holds data that is not known to be this member's")
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	s.bootstrap()
	s.stop()
	aside := filepath.Join(s.dir, "aside")
	if err := os.Rename(logs, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	s.refuses("m3: data: " + logs + " is empty, and this member had data there")
	out, err := exec.Command(filepath.Join(s.dir, "m3/install/bin/zookeeper-identity")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), logs+" has no stamp: is its disk mounted?") {
		t.Errorf("the server itself: %s, %v", out, err)
	}
	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, logs); err != nil {
		t.Fatal(err)
	}
	if out := s.bootstrap(); out.Verdict.Health != Healthy || out.Plan.Len() != 0 {
		t.Errorf("at the end %d changes, %s", out.Plan.Len(), out.Verdict.Text)
	}
}

// A member whose disk was lost for good begins empty, on request.
func TestDataIsLost(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	if _, err := r.Stop(t.Context(), []string{"m2"}, true); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.dir, "m2/data")
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o750); err != nil {
		t.Fatal(err)
	}
	s.refuses("m2: data: " + data + " is empty")
	again := s.run()
	defer again.Close()
	again.AdoptData = true
	if out, err := again.Apply(t.Context(), nil); err != nil || out.Verdict.Health != Healthy {
		t.Errorf("%+v, %v", out, err)
	}
}

// Data that was there before the first bootstrap is taken over on request only.
func TestDataBeforeTheFirstBootstrap(t *testing.T) {
	s := newSite(t, 1)
	data := filepath.Join(s.dir, "m1/data/version-2")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "log.1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.refuses("not known to be this member's (no stamp)", "--adopt-data")
	r := s.run()
	defer r.Close()
	r.AdoptData = true
	if out, err := r.Apply(t.Context(), nil); err != nil || out.Verdict.Health != Healthy {
		t.Errorf("%+v, %v", out, err)
	}
}

// reshaped gives the site's inventory other hosts: pairs of index in the site and id.
func (s *site) reshaped(order [][2]int, names map[int]string) *inventory.Inventory {
	s.t.Helper()
	inv := s.inventory()
	all := inv.Hosts
	inv.Hosts = nil
	for _, o := range order {
		h := all[o[0]]
		h.ID = o[1]
		if n := names[o[0]]; n != "" {
			h.Name = n
		}
		inv.Hosts = append(inv.Hosts, h)
	}
	return inv
}

func (s *site) planFor(inv *inventory.Inventory) (*Document, error) {
	r := s.run()
	defer r.Close()
	r.Inventory = inv
	_, doc, err := r.Plan(s.t.Context())
	return doc, err
}

// The order of hosts means nothing; without the first host, the others keep ids and settings, and only lose its server
// line; an id that somebody had is not given to somebody else.
func TestIdsStay(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	doc, err := s.planFor(s.reshaped([][2]int{{2, 3}, {0, 1}, {1, 2}}, nil))
	if err != nil || !doc.Nothing() {
		t.Errorf("another order: %v, %+v", err, doc)
	}
	doc, err = s.planFor(s.reshaped([][2]int{{1, 2}, {2, 3}}, nil))
	if err != nil || len(doc.Changes) != 2 || len(doc.Settings) != 2 {
		t.Fatalf("without the first host: %v, %+v", err, doc)
	}
	for _, c := range doc.Settings {
		if c.Key != "server.1" || c.After != "" {
			t.Errorf("without the first host %s changes %s", c.Host, c.Key)
		}
	}
	// m1 comes back as another host with m1's id, or under another id.
	fresh := s.reshaped([][2]int{{0, 1}, {1, 2}, {2, 3}}, map[int]string{0: "other"})
	fresh.Hosts[0].Server.Paths.Data += "-new"
	if _, err = s.planFor(fresh); err == nil || !strings.Contains(err.Error(), "other: data: server id 1 was m1's") || !strings.Contains(err.Error(), "4 is free") {
		t.Errorf("a retired id: %v", err)
	}
	if _, err = s.planFor(s.reshaped([][2]int{{0, 7}, {1, 2}, {2, 3}}, nil)); err == nil || !strings.Contains(err.Error(), "belongs to server 1 (m1), this is server 7") {
		t.Errorf("another id: %v", err)
	}
	// The same machine under another name keeps its data.
	if _, err = s.planFor(s.reshaped([][2]int{{0, 1}, {1, 2}, {2, 3}}, map[int]string{0: "renamed"})); err != nil {
		t.Errorf("renamed: %v", err)
	}
}

func TestIdentityText(t *testing.T) {
	i := Identity{"lab", newEnsembleID(), 7}
	if back, ok := parseIdentity(i.Marshal()); !ok || back != i {
		t.Errorf("%+v, %v", back, ok)
	}
	for _, text := range []string{"", "7\n", "ensemble=lab\n", "ensemble.id=x\nserver=y\n"} {
		if _, ok := parseIdentity([]byte(text)); ok {
			t.Errorf("%q is an identity", text)
		}
	}
	r := roster{3: "c", 1: "a", 20: "z"}
	if got := fmt.Sprint(parseRoster(r.marshal())); got != fmt.Sprint(r) {
		t.Errorf("%s", got)
	}
	if a, b := newEnsembleID(), newEnsembleID(); a == b {
		t.Error("two ids are alike")
	}
}
