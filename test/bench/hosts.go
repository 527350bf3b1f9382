package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// labNumber keeps the bench's hosts apart from those of people (0) and of the end-to-end tests (9).
const labNumber = "8"

// benchBootstrap measures zkctl on three bare hosts, made anew for each round.
func benchBootstrap(rounds int) error {
	root, err := ensemble.Root()
	if err != nil {
		return err
	}
	zkctl, err := ensemble.CtlBinary()
	if err != nil {
		return err
	}
	inventory := filepath.Join(root, "lab", "out-"+labNumber, "inventory.yaml")
	lab := func(args ...string) ([]byte, error) {
		cmd := exec.Command(filepath.Join(root, "lab", "lab.sh"), args...)
		cmd.Env = append(os.Environ(), "ZKCTL_LAB="+labNumber)
		return cmd.CombinedOutput()
	}
	defer lab("down") // what is left behind shows in the next up
	verbs := []struct {
		name string
		args []string
	}{
		{"bootstrap of 3 bare hosts", []string{"bootstrap", inventory}},
		{"bootstrap again, nothing to do", []string{"bootstrap", inventory}},
		{"status", []string{"status", "-i", inventory}},
		{"rolling-restart", []string{"rolling-restart", "-i", inventory}},
	}
	took := make([][]time.Duration, len(verbs))
	for range rounds {
		if out, err := lab("fresh", "3"); err != nil {
			if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 77 {
				fmt.Println(strings.TrimSpace(string(out)))
				return nil
			}
			return fmt.Errorf("test hosts: %w\n%s", err, out)
		}
		for i, verb := range verbs {
			began := time.Now()
			if out, err := exec.Command(zkctl, verb.args...).CombinedOutput(); err != nil {
				return fmt.Errorf("zkctl %s: %w\n%s", verb.args[0], err, out)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	fmt.Print("| zkctl with 3 test hosts on this machine | time |\n|---|---|\n")
	for i, verb := range verbs {
		fmt.Printf("| %s | %v |\n", verb.name, middle(took[i]).Round(10*time.Millisecond))
	}
	fmt.Println()
	return nil
}
