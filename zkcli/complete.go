package zkcli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	keyTab    = '\t'
	keySearch = 0x12 // Ctrl-R
)

// completeTimeout is how long the Tab key waits for a server.
const completeTimeout = time.Second

// maxCandidates are shown at most.
const maxCandidates = 100

// completer deals with the keys that the editor does not know.
type completer struct {
	shell    *shell
	terminal *terminal
	needle   string // of the search in the history
	found    string // its result, the line as it then was
	index    int    // in the history
}

// press is called for a key and returns the new line, unless the editor shall deal with the key.
func (c *completer) press(line string, pos int, key rune) (string, int, bool) {
	switch key {
	case keyInterrupt:
		c.terminal.keys.leave = line == ""
		return "", 0, true
	case keyTab:
		line, pos = c.complete(line, pos)
		return line, pos, true
	case keySearch:
		line = c.search(line)
		return line, len(line), true
	}
	return "", 0, false
}

// search returns the newest line of the history that has what is typed, and when asked again the next older one.
func (c *completer) search(line string) string {
	if line != c.found || line == "" {
		c.needle, c.index = line, len(c.shell.history)
	}
	for i := c.index - 1; i >= 0; i-- {
		if old := c.shell.history[i]; old != line && strings.Contains(old, c.needle) {
			c.index, c.found = i, old
			return old
		}
	}
	return line
}

// complete continues the word before the cursor as far as there is no doubt. Where there is, it shows what is possible.
func (c *completer) complete(line string, pos int) (string, int) {
	before, after := line[:pos], line[pos:]
	word := before[strings.LastIndexByte(before, ' ')+1:]
	prefix := word
	var candidates []string
	if strings.HasPrefix(word, "/") {
		prefix = word[strings.LastIndexByte(word, '/')+1:]
		candidates = c.children(strings.TrimSuffix(word, prefix))
	} else {
		candidates = commandNames()
	}
	candidates = slices.DeleteFunc(candidates, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	if len(candidates) == 0 {
		return line, pos
	}
	common := candidates[0]
	for _, name := range candidates {
		common = commonPrefix(common, name)
	}
	more := common[len(prefix):]
	switch {
	case len(candidates) > 1 && more == "":
		c.show(candidates)
	case len(candidates) > 1:
	case prefix == word: // a command
		more += " "
	case more == "": // a znode, and all of its name is there
		more = " "
		if len(c.children(word+"/")) > 0 {
			more = "/"
		}
	}
	return before + more + after, pos + len(more)
}

// children are the names below a directory, which ends in a slash; none if there is no answer soon.
func (c *completer) children(directory string) []string {
	path := strings.TrimSuffix(directory, "/")
	if path == "" {
		path = "/"
	}
	ctx, cancel := context.WithTimeout(background, completeTimeout)
	defer cancel()
	names, _, err := c.shell.session.Children(ctx, path, false)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// commonPrefix is the longest beginning that two names share, in whole characters.
func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return a[:n]
}

// show lists names above the line.
func (c *completer) show(names []string) {
	hidden := max(len(names)-maxCandidates, 0)
	names = names[:len(names)-hidden]
	column := 0
	for _, name := range names {
		column = max(column, utf8.RuneCountInString(name)+2)
	}
	perRow := max(c.terminal.width()/column, 1)
	var b strings.Builder
	for row := range slices.Chunk(names, perRow) {
		for i, name := range row {
			b.WriteString(name)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", column-utf8.RuneCountInString(name)))
			}
		}
		b.WriteByte('\n')
	}
	if hidden > 0 {
		fmt.Fprintf(&b, "and %d more\n", hidden)
	}
	fmt.Fprint(c.terminal, b.String())
}
