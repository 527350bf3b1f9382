package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"
)

// What bash offers for the last word of a line.
func TestBashCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	script := bashCompletion(newApp(io.Discard, io.Discard))
	for line, want := range map[string]string{
		"zkctl roll": "rolling-restart", "zkctl lock sh": "show", "zkctl lock show": "show", "zkctl lock show --verb": "--verbose",
		"zkctl check --on": "--only", "zkctl check --only x --jun": "--junit", "zkctl completion z": "zsh",
	} {
		cmd := exec.Command("bash", "-c", script+`COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _zkctl; echo "${COMPREPLY[@]}"`, "bash")
		cmd.Args, cmd.Dir = append(cmd.Args, strings.Fields(line)...), t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v; want %s", line, out, err, want)
		}
	}
}
