package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A prompt ends with the first Ctrl-C, not with the next line.
func TestAnswerEndsWhenInterrupted(t *testing.T) {
	nothingTyped, keyboard := io.Pipe()
	defer keyboard.Close()
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	if got := answer(ctx, nothingTyped); got != "" {
		t.Errorf("interrupted, yet the answer is %q", got)
	}
	if got := answer(context.Background(), strings.NewReader(" yes \nno\n")); got != "yes" {
		t.Errorf("the answer is %q, not yes", got)
	}
}

// So does the question for a password, and the terminal shows again what is typed.
func TestPasswordEndsWhenInterrupted(t *testing.T) {
	keyboard, tty := pseudoTerminal(t)
	shown := func() bool {
		state, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag&unix.ECHO != 0
	}
	ctx, interrupt := context.WithCancelCause(context.Background())
	go func() {
		for shown() {
			time.Sleep(time.Millisecond)
		}
		interrupt(errInterrupted)
	}()
	if got, err := typed(ctx, tty); got != "" || !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted, yet %q, %v", got, err)
	}
	if !shown() {
		t.Error("what is typed stays hidden")
	}
}

func TestPassword(t *testing.T) {
	keyboard, tty := pseudoTerminal(t)
	fmt.Fprintln(keyboard, "secret")
	if got, err := typed(t.Context(), tty); got != "secret" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// pseudoTerminal is what a terminal's user has, and what a program has of it.
func pseudoTerminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, tty
}
