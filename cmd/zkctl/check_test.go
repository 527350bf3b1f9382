package main

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/provision"
)

func checkReport() *provision.CheckReport {
	return &provision.CheckReport{
		Hosts: []string{"a", "b"}, Checks: []string{"ports", "network"},
		Findings: []hostprep.Finding{
			{Host: "a", Check: "ports", Severity: hostprep.Error, Text: "port 2181 is taken", Remedy: "stop <it>"},
			{Host: "b", Check: "ports", Severity: hostprep.Note, Text: "fine"},
			{Host: "b", Check: "network", Severity: hostprep.Warning, Text: "no", Remedy: "yes"},
		},
		Matrix: &provision.Matrix{Hosts: []string{"a", "b"}, Reach: []provision.Reach{
			{From: "a", To: "b", Port: 2181, Use: "client", Result: "ok"},
			{From: "b", To: "a", Port: 2888, Use: "peer", Result: "no route"},
		}},
	}
}

func TestCheckOutput(t *testing.T) {
	var b bytes.Buffer
	(&output{stdout: &b}).report(checkReport())
	want := `error    a  ports    port 2181 is taken
                     -> stop <it>
warning  b  network  no
                     -> yes
from \ to  a              b
─────────────────────────────
a          -              ok
b          2888 no route  -
2 checks on 2 hosts: 1 error, 1 warning, 1 note (-v shows notes)
`
	squeeze := func(s string) string { return strings.ReplaceAll(s, "─", "") }
	if got := b.String(); squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		column, width int
		want          string
	}{
		{4, 0, "a text that is longer than that"},
		{4, 80, "a text that is longer than that"},
		{4, 25, "a text that is longer\n    than that"},
		{10, 25, "a text that is longer than that"}, // too narrow to be helped
	} {
		if got := wrapped("a text that is longer than that", c.column, c.width); got != c.want {
			t.Errorf("column %d, width %d: %q, want %q", c.column, c.width, got, c.want)
		}
	}
}

func TestJUnit(t *testing.T) {
	var reports, back junitReport
	reports.add("lab", checkReport())
	data := reports.marshal()
	if err := xml.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Suites) != 2 || back.Suites[0].Failures != 1 || back.Suites[0].Tests != 2 || back.Suites[1].Failures != 0 {
		t.Errorf("%s", data)
	}
	if f := back.Suites[0].Cases[0].Failure; f == nil || f.Text != "port 2181 is taken (stop <it>)" {
		t.Errorf("failure %+v", f)
	}
	if out := back.Suites[1].Cases[1].Out; out != "warning: no (yes)" {
		t.Errorf("output %q", out)
	}
}
