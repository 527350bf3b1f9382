package suites

import (
	"reflect"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	theirs := Results{"both": Passed, "again": Passed, "only theirs": Passed, "skipped": Passed, "missing": Again,
		"neither": Failed, "skips": Skipped, "known": Passed, "mended": Passed}
	ours := Results{"both": Passed, "again": Again, "only theirs": Failed, "skipped": Skipped, "neither": Failed,
		"skips": Failed, "known": Failed, "mended": Passed, "only ours": Passed}
	got := Compare(ours, theirs, map[string]string{"known": "why", "mended": "why"})
	want := []string{
		"mended passes, although there is a reason why not: why",
		"missing passes with Apache ZooKeeper and did not run with zkserver",
		"only theirs passes with Apache ZooKeeper and failed with zkserver",
		"skipped passes with Apache ZooKeeper and skipped with zkserver",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestString(t *testing.T) {
	r := Results{"a": Passed, "b": Again, "c": Failed, "d": Skipped}
	if got, want := r.String(), "4 tests: 2 passed, 1 failed, 1 skipped (1 passed at the second attempt only)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Names(Failed); !reflect.DeepEqual(got, []string{"c"}) {
		t.Errorf("failed: %q", got)
	}
}

func TestParseGo(t *testing.T) {
	got := ParseGo([]byte(`=== RUN   TestA
    a_test.go:1: --- FAIL: not one
--- PASS: TestA (0.01s)
    --- SKIP: TestA/sub (0.00s)
--- FAIL: TestB (1.00s)
=== RUN   TestC
panic: test timed out after 1s
`))
	if want := (Results{"TestA": Passed, "TestA/sub": Skipped, "TestB": Failed}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseJUnit(t *testing.T) {
	got, err := ParseJUnit(strings.NewReader(`<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="5">
<testcase classname="m.K" name="good" time="1"/>
<testcase classname="m.K" name="bad"><failure message="x">y</failure></testcase>
<testcase classname="m.K" name="broken"><error message="x"/></testcase>
<testcase classname="m" name="not here"><skipped type="s" message="m"/></testcase>
<testcase classname="m" name="twice"><failure/></testcase><testcase classname="m" name="twice"/>
</testsuite></testsuites>`))
	want := Results{"m.K.good": Passed, "m.K.bad": Failed, "m.K.broken": Failed, "m.not here": Skipped, "m.twice": Failed}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	got, err = ParseJUnit(strings.NewReader(`<testsuite><properties/><testcase classname="C" name="t()"><system-out>x</system-out></testcase></testsuite>`))
	if want := (Results{"C.t()": Passed}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a report of one suite: got %v, %v, want %v", got, err, want)
	}
	if _, err := ParseJUnit(strings.NewReader("<testsuites><testsuite>")); err == nil {
		t.Error("half a report passes")
	}
}

func TestParseCppUnit(t *testing.T) {
	out := ` ZooKeeper server started
Running
A::testOne : elapsed 3 : OK
A::testTwo/usr/bin/java
starting
 : elapsed 1000 : OK
A::testThree : assertion : elapsed 5
B::testFour : error : elapsed 5
`
	names := []string{"A::testOne", "A::testTwo", "A::testThree", "B::testFour", "B::testFour2", "B::testFive", "B::testNever"}
	got, died := ParseCppUnit([]byte(out), names)
	want := Results{"A::testOne": Passed, "A::testTwo": Passed, "A::testThree": Failed, "B::testFour": Failed}
	if died != "" || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, died in %q, want %v", got, died, want)
	}
	got, died = ParseCppUnit([]byte(out+"B::testFiveterminate called\nAborted"), names)
	if died != "B::testFive" || got["B::testFive"] != Failed || len(got) != 5 {
		t.Errorf("got %v, died in %q", got, died)
	}
}
