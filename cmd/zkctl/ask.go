package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// ask asks for a yes. why says what for, where there is nobody to ask.
func ask(ctx context.Context, stderr io.Writer, why, question string) error {
	if !isTerminal(stderr) || !isTerminal(os.Stdin) {
		return usage("%s: there is no terminal to ask on, so say --yes", why)
	}
	fmt.Fprintf(stderr, "%s [y/N] ", question)
	if a := strings.ToLower(answer(ctx, os.Stdin)); a != "y" && a != "yes" {
		return errDeclined
	}
	return nil
}

// answer is the next line that is typed, or "" once ctx has ended. The read itself cannot be ended; it goes with the
// process.
func answer(ctx context.Context, typed io.Reader) string {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(typed).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	select {
	case text := <-line:
		return text
	case <-ctx.Done():
		return ""
	}
}
