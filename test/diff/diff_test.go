//go:build diff

package diff

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	requests = flag.Int("requests", 100000, "generated requests to a standalone server; ensembles get a tenth")
	seed     = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what the generator makes requests of")
	budget   = flag.Int("differences", 1, "how many differences are shown before a run ends; after one, more may follow from it")
	trace    = flag.String("steps", "", "a file to write every generated request and zkserver's answer to")
)

// TestGenerated compares standalone servers.
func TestGenerated(t *testing.T) { generated(t, "TestGenerated", 1, *requests) }

// TestEnsembles compares ensembles of three, whose connections are to all members.
func TestEnsembles(t *testing.T) { generated(t, "TestEnsembles", 3, *requests/10) }

func generated(t *testing.T, test string, size, n int) {
	p := servers(t, size)
	p.repeat = fmt.Sprintf("go test -tags diff ./test/diff -run %s -v -requests %d -seed %d", test, *requests, *seed)
	t.Log(p.repeat)
	if *trace != "" {
		f, err := os.Create(*trace)
		must(t, err)
		defer f.Close()
		p.trace = f
	}
	began := time.Now()
	p.generate(t, newGenerator(*seed), n)
	t.Logf("%v for %s", time.Since(began).Round(time.Millisecond), p.summary())
}

// generate plays n steps.
func (p *pair) generate(t *testing.T, g *generator, n int) {
	t.Helper()
	for range n {
		st := g.next()
		got, err := p.play(st)
		if err != nil {
			t.Error(err)
			if p.budget--; p.budget <= 0 {
				t.Fatalf("%d steps", p.steps)
			}
		}
		g.learn(st, got, p.ours)
	}
}
