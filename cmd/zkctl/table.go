package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/zkctl/zkctl/provision"
)

// columns of the table of members, and the order in which they are given up where the terminal is too narrow.
var (
	columns = []string{"host", "address", "id", "role", "state", "kind", "version", "zxid", "lag", "connections", "uptime", "latency"}
	spare   = []string{"latency", "version", "kind", "uptime", "connections", "address", "role", "lag"}
)

// table shows an ensemble to people.
func (o *output) table(seen []provision.Observation) {
	var all []string
	for _, m := range seen {
		all = append(all, m.Host.Name)
	}
	o.tableOf(all, seen)
}

// tableOf shows some members, and the verdict on all.
func (o *output) tableOf(names []string, seen []provision.Observation) {
	shown := slices.DeleteFunc(slices.Clone(seen), func(m provision.Observation) bool { return !slices.Contains(names, m.Host.Name) })
	fmt.Fprintln(o.stdout, listed(columns, spare, width(o.stdout), o.rows(shown, seen)))
	for _, line := range reasons(shown) {
		fmt.Fprintln(o.stdout, line)
	}
	v := provision.Judge(seen)
	line := v.Text
	if o.resultColor {
		line = text.Colors{map[provision.Health]text.Color{
			provision.Healthy: text.FgGreen, provision.Degraded: text.FgYellow, provision.NoQuorum: text.FgRed,
		}[v.Health]}.Sprint(line)
	}
	fmt.Fprintln(o.stdout, line)
}

// reasons say why members do not serve, one line for each reason.
func reasons(seen []provision.Observation) []string {
	var order []string
	hosts := map[string][]string{}
	for _, m := range seen {
		if m.Serving() || m.Reason == "" {
			continue
		}
		if hosts[m.Reason] == nil {
			order = append(order, m.Reason)
		}
		hosts[m.Reason] = append(hosts[m.Reason], m.Host.Name)
	}
	for i, reason := range order {
		order[i] = strings.Join(hosts[reason], ", ") + ": " + reason
	}
	return order
}

// listed is a table of rows, whose cells go by the names of their columns. Where it is wider than width, spare columns are given
// up in their order; 0 is any width.
func listed(columns, spare []string, width int, rows []map[string]any) string {
	render := func(columns []string) string {
		t := plainTable()
		var header table.Row
		for _, c := range columns {
			header = append(header, c)
		}
		t.AppendHeader(header)
		for _, cells := range rows {
			var row table.Row
			for _, c := range columns {
				row = append(row, cells[c])
			}
			t.AppendRow(row)
		}
		return rendered(t)
	}
	list := render(columns)
	for _, name := range spare {
		if width == 0 || text.LongestLineLen(list) <= width {
			break
		}
		columns = slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == name })
		list = render(columns)
	}
	return list
}

// rows are the cells of some of the members that were seen.
func (o *output) rows(shown, seen []provision.Observation) (rows []map[string]any) {
	for _, m := range shown {
		rows = append(rows, o.cells(seen, m))
	}
	return rows
}

// plainTable is a table with a line below its header, and no other.
func plainTable() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.Options{SeparateColumns: true, SeparateHeader: true}
	t.Style().Box.MiddleVertical = " "
	t.Style().Box.MiddleSeparator = "─"
	t.Style().Box.PaddingLeft = ""
	t.Style().Format.Header = text.FormatDefault
	return t
}

// rendered is a table without blanks at the ends of its lines.
func rendered(t table.Writer) string {
	lines := strings.Split(t.Render(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// cells are what the table says of a member, by column.
func (o *output) cells(seen []provision.Observation, m provision.Observation) map[string]any {
	cells := map[string]any{
		"host": m.Host.Name, "address": m.Host.ClientAddress(), "id": m.Host.ID, "role": m.Host.Role,
		"state": o.stateColor(m, string(m.State)),
	}
	for _, c := range columns {
		if cells[c] == nil {
			cells[c] = "-"
		}
	}
	if !m.Serving() {
		return cells
	}
	if !m.Synced() {
		cells["state"] = o.stateColor(m, string(m.State)+" ("+m.PeerState+")")
	}
	if n, ok := provision.Lag(seen, m); ok {
		cells["lag"] = n
	}
	cells["kind"], cells["version"], cells["connections"] = m.Kind, m.Version, m.Connections
	cells["zxid"] = fmt.Sprintf("0x%x", m.Zxid)
	cells["uptime"] = m.Uptime.Round(time.Second)
	cells["latency"] = fmt.Sprintf("%.2f ms", m.LatencyMillis)
	return cells
}

func (o *output) stateColor(m provision.Observation, s string) string {
	switch {
	case !o.resultColor:
		return s
	case m.State == provision.Leader:
		return text.Colors{text.FgGreen, text.Bold}.Sprint(s)
	case m.Synced():
		return text.Colors{text.FgGreen}.Sprint(s)
	}
	return text.Colors{text.FgRed}.Sprint(s)
}
