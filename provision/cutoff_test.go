package provision

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// cutOff is a host that gets a part of the first large input, and is out of reach from then on.
type cutOff struct {
	remote.Host
	part float64
	gone atomic.Bool
}

func (h *cutOff) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	lost := &remote.ConnError{Host: h.Name(), Step: cmd.Label, Kind: remote.ErrLost, Cause: errors.New("EOF")}
	if h.gone.Load() {
		return remote.Result{}, lost
	}
	if len(cmd.Stdin) < 100<<10 {
		return h.Host.Run(ctx, cmd)
	}
	h.gone.Store(true)
	cmd.Stdin = cmd.Stdin[:int(h.part*float64(len(cmd.Stdin)))]
	res, _ := h.Host.Run(ctx, cmd)
	return res, lost
}

// left are the files of a site, without what differs from one site to another and what servers write.
func (s *site) left() map[string]string {
	s.t.Helper()
	replace := []string{s.dir, "DIR"}
	for i, p := range s.ports {
		replace = append(replace, fmt.Sprint(p), fmt.Sprintf("PORT%d", i))
	}
	id := regexp.MustCompile(`ensemble.id=.*`)
	all := map[string]string{}
	for name, text := range contents(s.t, s.dir) {
		if !strings.Contains(name, "/version-2/") && !strings.HasSuffix(name, ".pid") && !strings.HasSuffix(name, ".log") &&
			!strings.Contains(name, "/lock/") && filepath.Base(name) != "history" {
			if strings.Contains(text, "\x00") { // a program, which may have such numbers
				all[name] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
				continue
			}
			all[name] = id.ReplaceAllString(strings.NewReplacer(replace...).Replace(text), "ensemble.id=ID")
		}
	}
	return all
}

// Hosts that are cut off in the middle of an upload are finished by the next run; the result is that of one that was not.
func TestCutOffInAnUpload(t *testing.T) {
	long(t)
	whole := newSite(t, 3)
	whole.bootstrap()
	want := whole.left()
	for _, part := range []float64{0, 0.5, 1} {
		s := newSite(t, 3)
		r := s.run()
		hosts := map[string]*cutOff{}
		r.Connect = func(h inventory.Host) (remote.Host, error) {
			hosts[h.Name] = &cutOff{Host: remote.NewLocal(h.Name, remote.Become{None: true}), part: part}
			return hosts[h.Name], nil
		}
		_, err := r.Bootstrap(t.Context())
		r.Close()
		if err == nil || !hosts["m2"].gone.Load() {
			t.Fatalf("%v of an upload: nobody was cut off: %v", part, err)
		}
		for _, name := range []string{"m1", "m2", "m3"} { // nobody renews it, and its time is over
			if err := os.RemoveAll(filepath.Join(s.dir, name, "install/.zkctl/lock")); err != nil {
				t.Fatal(err)
			}
		}
		if out := s.bootstrap(); out.Verdict.Health != Healthy {
			t.Fatalf("%v of an upload: the next run ends with %+v", part, out.Verdict)
		}
		got := s.left()
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%v of an upload: %s is\n%.500q\nwant\n%.500q", part, name, got[name], want[name])
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("%v of an upload: left behind: %s", part, name)
			}
		}
	}
}
