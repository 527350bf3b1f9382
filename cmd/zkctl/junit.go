package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/provision"
)

type jsonFinding struct {
	Host     string `json:"host"`
	Check    string `json:"check"`
	Severity string `json:"severity"`
	Finding  string `json:"finding"`
	Remedy   string `json:"remedy,omitempty"`
	Fixable  bool   `json:"fixable"`
}

// checkJSON is the result of the checks for programs.
func checkJSON(ensemble string, r *provision.CheckReport) any {
	list := func(findings []hostprep.Finding) []jsonFinding {
		all := []jsonFinding{}
		for _, f := range findings {
			all = append(all, jsonFinding{f.Host, f.Check, f.Severity.String(), f.Text, f.Remedy, len(f.Fix) > 0})
		}
		return all
	}
	count := func(s hostprep.Severity) int {
		n := 0
		for _, f := range r.Findings {
			if f.Severity == s {
				n++
			}
		}
		return n
	}
	return struct {
		Kind     string            `json:"kind"`
		Ensemble string            `json:"ensemble"`
		Hosts    []string          `json:"hosts"`
		Checks   []string          `json:"checks"`
		Errors   int               `json:"errors"`
		Warnings int               `json:"warnings"`
		Findings []jsonFinding     `json:"findings"`
		Fixed    []jsonFinding     `json:"fixed"`
		Matrix   *provision.Matrix `json:"matrix,omitempty"`
	}{"check", ensemble, r.Hosts, r.Checks, count(hostprep.Error), count(hostprep.Warning), list(r.Findings), list(r.Fixed), r.Matrix}
}

// The elements of a JUnit report that tools agree on.
type (
	junitReport struct {
		XMLName xml.Name    `xml:"testsuites"`
		Suites  []testSuite `xml:"testsuite"`
	}
	testSuite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	testCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *testFailure `xml:"failure"`
		Out     string       `xml:"system-out,omitempty"`
	}
	testFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// add adds a test suite for each host with a test case for each check. Errors are failures; what is less is output.
func (all *junitReport) add(ensemble string, r *provision.CheckReport) {
	for _, host := range r.Hosts {
		s := testSuite{Name: host}
		for _, check := range r.Checks {
			c := testCase{Class: ensemble + "." + host, Name: check}
			var failed, said []string
			for _, f := range r.Findings {
				if f.Host != host || f.Check != check {
					continue
				}
				line := f.Text
				if f.Remedy != "" {
					line += " (" + f.Remedy + ")"
				}
				if f.Severity == hostprep.Error {
					failed = append(failed, line)
				} else {
					said = append(said, fmt.Sprintf("%s: %s", f.Severity, line))
				}
			}
			if failed != nil {
				c.Failure = &testFailure{failed[0], strings.Join(failed, "\n")}
				s.Failures++
			}
			c.Out = strings.Join(said, "\n")
			s.Tests++
			s.Cases = append(s.Cases, c)
		}
		all.Suites = append(all.Suites, s)
	}
}

// marshal is the file's content.
func (all *junitReport) marshal() []byte {
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	return []byte(xml.Header + string(data) + "\n")
}
