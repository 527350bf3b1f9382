package main

import (
	"context"
	"io"
	"strings"
	"testing"
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
