package config

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/vfs/outage"
)

// reconfigure loses power at every operation of a series of changes of the membership, also while the server starts after
// one, and returns what went wrong: after each loss the committed membership is the one that was saved last, or the one
// being saved, and a proposed one that was saved is there until it is decided.
func reconfigure(t *testing.T, ignored string) (wrong string, points int, places map[string]int) {
	t.Helper()
	d := outage.New()
	d.Ignored = ignored
	for name, content := range map[string]string{zooCfg: original, "/d/myid": "1\n"} {
		if err := d.Put(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	type versions struct{ members, lastSeen int64 }
	before, after := versions{}, versions{}
	r := rand.New(rand.NewPCG(5, 5))
	start := func(d *outage.Disk) (got versions, files *Files, err error) {
		c, err := LoadFrom(d, zooCfg)
		if err == nil {
			files, err = c.Files(d)
		}
		if err == nil {
			err = files.Begin()
		}
		if err != nil {
			return got, nil, err
		}
		got = versions{members: c.Members.Version()}
		if c.LastSeen != nil && c.LastSeen.Version() > got.members {
			got.lastSeen = c.LastSeen.Version()
		}
		return got, files, nil
	}
	var lose func(d *outage.Disk, depth int) func(op, name string)
	lose = func(d *outage.Disk, depth int) func(op, name string) {
		return func(op, name string) {
			for o := range d.Outcomes(r, 8) {
				points++
				left := d.After(o)
				disk, err := left.Restart()
				if err != nil {
					t.Fatal(err)
				}
				if depth == 0 {
					disk.Before = lose(disk, 1)
				}
				got, _, err := start(disk)
				if got != before && got != after && got != (versions{after.members, before.lastSeen}) || err != nil {
					wrong = strings.Join([]string{"before", op, name, "power lost:", d.Pending(o)}, " ")
					if err != nil {
						wrong += err.Error()
					}
				}
			}
		}
	}
	_, files, err := start(d)
	if err != nil {
		t.Fatal(err)
	}
	initial := members(t, threeServers, 0)
	d.Before = lose(d, 0)
	committed := initial
	for i, text := range []string{threeServers, fourServers, threeServers, fourServers} {
		next := members(t, text, int64(i+1)<<32)
		for _, save := range []versions{{committed.Version(), next.Version()}, {next.Version(), 0}} {
			after = save
			m := committed
			if save.lastSeen == 0 {
				m = next
			}
			if err := files.Save(m, next); err != nil {
				t.Fatal(err)
			}
			before = after
			d.Before("the end", "")
		}
		committed = next
	}
	d.Before = nil
	return wrong, points, d.Places
}

// needless are the places whose syncs make no difference, and why.
var needless = map[string]string{
	"directory: config.Files.removeNext < config.Files.Save": "a proposal is not read beside a later membership",
	"directory: vfs.replace < vfs.Copy < config.Files.Begin": "the first proposal that is saved beside the copy syncs the directory",
}

// TestPowerLoss loses power at every operation, and shows for each sync that it would be noticed if it did nothing.
func TestPowerLoss(t *testing.T) {
	wrong, points, places := reconfigure(t, "")
	if wrong != "" {
		t.Error(wrong)
	}
	t.Logf("%d crash points", points)
	for at, n := range places {
		wrong, points, _ := reconfigure(t, at)
		if wrong == "" && needless[at] == "" {
			t.Errorf("not noticed without %d syncs, %s: %d crash points", n, at, points)
		}
	}
}
