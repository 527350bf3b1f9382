package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run has to tell.
type Report struct {
	Title    string
	Took     time.Duration
	Injected []Injected
	Counts   map[string]map[Fate]int
	Acks     []int64 // when writes were acknowledged, in order
}

// gap is a time without an acknowledged write.
type gap struct{ from, to int64 }

// outageFrom is the shortest gap that the timeline shows as unavailability.
const outageFrom = int64(time.Second)

func (r Report) gaps(least int64) (gaps []gap) {
	last := int64(0)
	for _, at := range append(slices.Clone(r.Acks), int64(r.Took)) {
		if at-last >= least {
			gaps = append(gaps, gap{last, at})
		}
		last = at
	}
	return gaps
}

// faultRow is a line of the table of faults.
type faultRow struct {
	kind           string
	count          int
	total          time.Duration
	longest, alone time.Duration
	recovery       time.Duration
}

// rows are the kinds of faults with the longest gap that each has met: the part of it after the fault's start.
func (r Report) rows() []faultRow {
	rows := make(map[string]*faultRow)
	gaps := r.gaps(0)
	for i, f := range r.Injected {
		row := rows[f.Kind]
		if row == nil {
			row = &faultRow{kind: f.Kind}
			rows[f.Kind] = row
		}
		end := min(f.End, int64(r.Took))
		row.count++
		row.total += time.Duration(end - f.Start)
		alone := true
		for j, other := range r.Injected {
			alone = alone && (i == j || other.Start > end || other.End < f.Start)
		}
		from, _ := slices.BinarySearchFunc(gaps, f.Start, func(g gap, at int64) int { return int(min(max(g.to-at, -1), 1)) })
		for _, g := range gaps[min(from, len(gaps)):] {
			if g.from > end {
				break
			}
			length := time.Duration(g.to - max(g.from, f.Start))
			row.longest = max(row.longest, length)
			if alone {
				row.alone = max(row.alone, length)
			}
			if g.to > end {
				row.recovery = max(row.recovery, time.Duration(g.to-end))
			}
		}
	}
	sorted := slices.Collect(maps.Values(rows))
	slices.SortFunc(sorted, func(a, b *faultRow) int { return strings.Compare(a.kind, b.kind) })
	var out []faultRow
	for _, row := range sorted {
		out = append(out, *row)
	}
	return out
}

// String is the report as text.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %v\n\n", r.Title, r.Took.Round(time.Second))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tcount\tpresent\tlongest unavailability\tof one that was alone\tafter its end\t")
	for _, row := range r.rows() {
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%v\t%v\t\n", row.kind, row.count, row.total.Round(time.Second), ms(row.longest), ms(row.alone), ms(row.recovery))
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t")
	w.Flush()
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation\tok\trefused\tunknown\tnot sent\t")
	total := make(map[Fate]int)
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		c := r.Counts[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", name, c[Done], c[Refused], c[Unknown], c[Unsent])
		for fate, n := range c {
			total[fate] += n
		}
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%d\t%d\t\n", total[Done], total[Refused], total[Unknown], total[Unsent])
	w.Flush()
	var without time.Duration
	outages := r.gaps(outageFrom)
	for _, g := range outages {
		without += time.Duration(g.to - g.from)
	}
	fmt.Fprintf(&b, "\n%d acknowledged writes (%.0f/s); %d times no write was acknowledged for a second or more, together %v of %v\n\n",
		len(r.Acks), float64(len(r.Acks))/r.Took.Seconds(), len(outages), without.Round(time.Second), r.Took.Round(time.Second))
	b.WriteString(r.Timeline())
	return b.String()
}

func ms(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Timeline draws availability above the faults, in lines of at most two minutes, one column a second.
func (r Report) Timeline() string {
	const width = 120
	var b strings.Builder
	b.WriteString("timeline: one column a second; writes: # acknowledged all the time, - with a gap of a second or more, . none; faults: =\n")
	seconds := int((r.Took + time.Second - 1) / time.Second)
	acked, broken := make([]bool, seconds), make([]bool, seconds)
	for _, at := range r.Acks {
		acked[min(int(at/int64(time.Second)), seconds-1)] = true
	}
	for _, g := range r.gaps(outageFrom) {
		for s := g.from / int64(time.Second); s <= g.to/int64(time.Second) && int(s) < seconds; s++ {
			broken[s] = true
		}
	}
	for from := 0; from < seconds; from += width {
		to := min(from+width, seconds)
		fmt.Fprintf(&b, "\n%-26s ", fmt.Sprintf("%d s", from))
		for s := from; s < to; s++ {
			if s%10 == 0 {
				b.WriteByte('|')
			} else {
				b.WriteByte(' ')
			}
		}
		fmt.Fprintf(&b, "\n%-26s ", "writes")
		for s := from; s < to; s++ {
			switch {
			case !acked[s]:
				b.WriteByte('.')
			case broken[s]:
				b.WriteByte('-')
			default:
				b.WriteByte('#')
			}
		}
		b.WriteByte('\n')
		lines := make(map[string][]byte)
		for _, f := range r.Injected {
			first, last := int(f.Start/int64(time.Second)), int(min(f.End, int64(r.Took))/int64(time.Second))
			for s := max(first, from); s <= last && s < to; s++ {
				if lines[f.Kind] == nil {
					lines[f.Kind] = []byte(strings.Repeat(" ", to-from))
				}
				lines[f.Kind][s-from] = '='
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(lines)) {
			fmt.Fprintf(&b, "%-26s %s\n", kind, strings.TrimRight(string(lines[kind]), " "))
		}
	}
	return b.String()
}
