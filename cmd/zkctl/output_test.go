package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
)

func TestAtWorkFitsTheTerminal(t *testing.T) {
	working := []work{{"firewall", "slave2"}, {"log in from each host to each other", "master"}, {"firewall", "master"}}
	if got, want := atWork(working, 0), "    ... firewall: slave2, master; log in from each host to each other: master"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, width := range []int{1, 20, 40, 79, 80, 81, 200} {
		// A terminal wraps a line that fills it to the last column.
		if line := atWork(working, width); text.StringWidth(line) >= max(width, 4) {
			t.Errorf("width %d: %q", width, line)
		}
	}
}

// The table gives up columns rather than wrap; who a member is and what it does always stay.
func TestTableFitsTheTerminal(t *testing.T) {
	host := func(name string) inventory.Host {
		h := inventory.Host{Name: name, Address: "10.99.0.11", ID: 1, Role: inventory.Voter}
		h.Server.Ports.Client = 2181
		return h
	}
	seen := []provision.Observation{
		{Host: host("master"), State: provision.Leader, Version: "3.8.0", Zxid: 0x10000000c, Uptime: 72 * time.Second},
		{Host: host("slave1"), State: provision.Down, Reason: "no answer in time"},
	}
	o := &output{}
	for _, width := range []int{0, 40, 80, 90, 200} {
		got := listed(columns, spare, width, o.rows(seen, seen))
		if width > 0 && text.LongestLineLen(got) > width {
			t.Errorf("width %d:\n%s", width, got)
		}
		for _, want := range []string{"host", "state", "zxid", "master", "leader", "slave1", "down"} {
			if !strings.Contains(got, want) {
				t.Errorf("width %d: no %q:\n%s", width, want, got)
			}
		}
		if all := width == 0 || width == 200; all != strings.Contains(got, "latency") {
			t.Errorf("width %d:\n%s", width, got)
		}
	}
}

// A secret that is not where the inventory says is the inventory's fault, also behind what a host was about to do.
func TestMissingSecret(t *testing.T) {
	s := &secrets{ctx: t.Context()}
	for _, ref := range []inventory.Secret{{Env: "ZKCTL_TEST_UNSET"}, {File: "/nowhere"}} {
		_, err := s.reader("sudo password of me", ref)()
		err = fmt.Errorf("a: gather facts: %w", err)
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "sudo password of me: ") || !strings.Contains(hintOf(err), "--ask-become-pass") {
			t.Errorf("%v: %v, exit code %d, hint %q", ref, err, exitCode(err), hintOf(err))
		}
	}
}

// A secret does not get into the audit trail, whose lines are JSON, whatever characters it has.
func TestRedact(t *testing.T) {
	s := &secrets{ctx: t.Context()}
	s.keep("password", `a"<\é"`)
	for _, event := range []any{map[string]string{"error": `sudo: a"<\é" is wrong`}, []string{`a"<\é"`}} {
		line, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.redact(string(line)); !json.Valid([]byte(got)) || !strings.Contains(got, "********") || strings.Contains(got, `\\é`) {
			t.Errorf("%s became %s", line, got)
		}
	}
}

func TestLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(file, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	inv := &inventory.Inventory{File: file}
	unlock, err := lock(inv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(inv); exitCode(err) != exitLocked {
		t.Errorf("a second lock: %v, exit code %d", err, exitCode(err))
	}
	unlock()
	unlock, err = lock(inv)
	if err != nil {
		t.Fatalf("after the first is gone: %v", err)
	}
	unlock()
}

func TestInterruptedHostsAreSummedUp(t *testing.T) {
	one := fmt.Errorf("a: restart the server: %w", errInterrupted)
	if got := message(one); got != one.Error() {
		t.Errorf("got %q", got)
	}
	all := errors.Join(one, fmt.Errorf("b: %w", errInterrupted), fmt.Errorf("c: %w", errInterrupted))
	if got, want := message(all), "a: restart the server: interrupted (and 2 more like it)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	failed := errors.Join(errors.New("a: x"), errors.New("b: y"))
	if got := message(failed); got != "a: x\nb: y" {
		t.Errorf("got %q", got)
	}
}
