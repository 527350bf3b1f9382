package suites

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Status is what came of one test.
type Status string

const (
	// Passed, Failed and Skipped are what the suite says itself.
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
	// Again is a test that failed in the suite and passed when it was run once more, alone.
	Again Status = "passed at the second attempt"
)

// Results are the tests of a suite that ran against one server, by name.
type Results map[string]Status

// Count is how many tests have one of the statuses.
func (r Results) Count(statuses ...Status) int {
	n := 0
	for _, s := range r {
		if slices.Contains(statuses, s) {
			n++
		}
	}
	return n
}

// Names are the tests with a status, sorted.
func (r Results) Names(status Status) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if r[name] == status {
			names = append(names, name)
		}
	}
	return names
}

// String is the tally in one line.
func (r Results) String() string {
	text := fmt.Sprintf("%d tests: %d passed, %d failed, %d skipped", len(r), r.Count(Passed, Again), r.Count(Failed), r.Count(Skipped))
	if n := r.Count(Again); n > 0 {
		text += fmt.Sprintf(" (%d passed at the second attempt only)", n)
	}
	return text
}

// Compare lists the tests that pass with theirs and not with ours, apart from those with a reason. A reason for a test that
// passes with ours is listed as well: it has become untrue.
func Compare(ours, theirs Results, reasons map[string]string) []string {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		passes := ours[name] == Passed || ours[name] == Again
		switch {
		case passes && reasons[name] != "":
			wrong = append(wrong, fmt.Sprintf("%s passes, although there is a reason why not: %s", name, reasons[name]))
		case passes || theirs[name] == Failed || theirs[name] == Skipped || reasons[name] != "":
		case ours[name] == "":
			wrong = append(wrong, name+" passes with Apache ZooKeeper and did not run with zkserver")
		default:
			wrong = append(wrong, fmt.Sprintf("%s passes with Apache ZooKeeper and %s with zkserver", name, ours[name]))
		}
	}
	return wrong
}

var goVerdict = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+) \(`)

// ParseGo reads what a Go test binary prints with -test.v. Tests that had not ended are missing.
func ParseGo(out []byte) Results {
	r := make(Results)
	for _, m := range goVerdict.FindAllSubmatch(out, -1) {
		r[string(m[2])] = map[string]Status{"PASS": Passed, "FAIL": Failed, "SKIP": Skipped}[string(m[1])]
	}
	return r
}

// ParseJUnit reads a report in the form of JUnit, such as that of pytest --junitxml. A test is named by its class and itself.
func ParseJUnit(report io.Reader) (Results, error) {
	r := make(Results)
	d := xml.NewDecoder(report)
	for {
		token, err := d.Token()
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read JUnit report: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "testcase" {
			continue
		}
		var c struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		}
		if err := d.DecodeElement(&c, &start); err != nil {
			return nil, fmt.Errorf("read JUnit report: %w", err)
		}
		status := Passed
		switch {
		case c.Failure != nil || c.Error != nil:
			status = Failed
		case c.Skipped != nil:
			status = Skipped
		}
		name := c.Class + "." + c.Name
		if r[name] != Failed { // a test that passes and then fails to tear down is there twice
			r[name] = status
		}
	}
}

// ParseCppUnit reads what a CppUnit program with a brief progress listener prints, among which its tests print whatever
// they like; names are those of its tests. One that has no end is where the program died: it failed, and its name is
// returned.
func ParseCppUnit(out []byte, names []string) (r Results, died string) {
	r = make(Results)
	name, said := "", ""
	judge := func() {
		_, verdict, ended := strings.Cut(said, " : elapsed ")
		switch {
		case name == "":
		case !ended:
			r[name], died = Failed, name
		case strings.Contains(verdict, " : OK"):
			r[name] = Passed
		default:
			r[name] = Failed
		}
	}
	for line := range strings.Lines(string(out)) {
		if next := longestPrefix(line, names); next != "" {
			judge()
			name, said = next, ""
		}
		said += line
	}
	judge()
	return r, died
}

func longestPrefix(text string, of []string) string {
	longest := ""
	for _, prefix := range of {
		if strings.HasPrefix(text, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return longest
}
