package sim

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// TestMutantsAreCaught: what cannot fail proves nothing. Each mutation has a seed that showed it once; TestMutants looks
// for others.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range Mutations {
		t.Run(strings.ReplaceAll(m.Name, " ", "-"), func(t *testing.T) {
			r := m.run(m.Seed)
			if r.Err == nil {
				t.Fatalf("seed %d does not notice any more: find another one with make mutants", m.Seed)
			}
			t.Logf("seed %d: %v", m.Seed, r.Err)
		})
	}
}

// TestMutants looks for the first seed that notices each mutation, and prints a table.
func TestMutants(t *testing.T) {
	if os.Getenv("ZKCTL_MUTANTS") == "" {
		t.Skip("takes minutes: make mutants")
	}
	only := os.Getenv("ZKCTL_MUTANTS")
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tcaught by seed\tafter seeds\tinvariant")
	for _, m := range Mutations {
		if only != "all" && !slices.Contains(strings.Split(only, ","), m.Name) {
			continue
		}
		every := max(m.Every, 1)
		got := Sweep(every, every, mutantSeeds, m.run)
		if got.Err == nil {
			fmt.Fprintf(w, "%s\tno\t%d\t\n", m.Name, mutantSeeds)
			t.Errorf("%s: %d seeds did not notice", m.Name, mutantSeeds)
			continue
		}
		invariant, rest, _ := strings.Cut(got.Err.Error(), ": ")
		t.Logf("%s: seed %d: %s: %s", m.Name, got.Failed, invariant, rest)
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", m.Name, got.Failed, got.Failed/every, invariant)
	}
	w.Flush()
	fmt.Print(table.String())
}

// mutantSeeds are how many seeds a mutation may survive.
const mutantSeeds = 1000

func TestMutationsHaveNames(t *testing.T) {
	var names []string
	for _, m := range Mutations {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != len(Mutations) {
		t.Errorf("%d mutations have %d names", len(Mutations), n)
	}
}
