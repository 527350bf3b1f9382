package remote

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/remote/shell"
)

// How a script reaches the host's /bin/sh.
//
// The login shell, whatever it is, is given one fixed command line, the loader.
// It holds no quote, backslash, exclamation mark or newline inside its single
// quotes, so that sh, fish and csh all read it alike. The loader reads a line
// from standard input and evaluates it; that line reads the script and evaluates
// it, and what follows on standard input is left to the script. read and dd take
// no byte too many, which no other tool promises on a pipe.
const loader = `IFS= read -r s && eval "$s"`

// A login shell becomes a loader of as many scripts as come, one after the other: that a session is opened and that a shell starts
// in it takes a host longer than most scripts, and a line two round trips.
const loginCommand = `exec /bin/sh -c 'while IFS= read -r s; do eval "$s"; done'`

// pack prepends the line that the loader expects. Two system calls for each byte of a long script would be felt.
func pack(script string) []byte {
	read := fmt.Sprintf("dd bs=1 count=%d 2>/dev/null", len(script))
	if len(script) > 2<<10 {
		read = readExactly(len(script))
	}
	return fmt.Appendf(nil, "s=$(%s) && eval \"$s\"\n%s", read, script)
}

// readExactly is a command that copies so many bytes of standard input and takes none beyond: by blocks where dd can be
// told to fill them (GNU's and busybox's can), otherwise one by one.
func readExactly(n int) string {
	// A dd that does not know the flags says so before it reads anything.
	return fmt.Sprintf("{ dd bs=65536 count=%d iflag=fullblock,count_bytes || dd bs=1 count=%[1]d; } 2>/dev/null", n)
}

// newMarker returns a word that no output contains by chance.
func newMarker() string {
	var b [12]byte
	rand.Read(b[:])
	return "zkctl-" + hex.EncodeToString(b[:])
}

// wrap puts a command's script between markers: before it, on both streams, a
// line with the marker and on standard output the shell's process id; after
// it a line with the exit status. payload is the number of bytes that follow on
// standard input; where it is negative the script reads to end of file. (A
// terminal has no end of file that binary data could be followed by.) Where the
// streams are merged, only standard output is marked.
func wrap(marker string, cmd Command, payload int, merged bool) string {
	var b strings.Builder
	if !merged {
		fmt.Fprintf(&b, "printf '%%s begin\\n' %s >&2\n", marker)
	}
	fmt.Fprintf(&b, "printf '%%s begin %%s\\n' %s \"$$\"\n", marker)
	functions := ""
	if cmd.Paced {
		functions = fmt.Sprintf("took() { printf '\\n%%s took\\n' %s; }\n", marker)
	}
	body := fmt.Sprintf("( %s%sset -- %s\neval %s )", environment, functions, shell.Join(cmd.Args...), shell.Quote(cmd.Script))
	switch {
	case payload == 0:
		b.WriteString(body + " </dev/null\n")
	case payload > 0:
		fmt.Fprintf(&b, "{ %s; } | %s\n", readExactly(payload), body)
	default:
		b.WriteString(body + "\n")
	}
	b.WriteString("rc=$?\n")
	if !merged {
		fmt.Fprintf(&b, "printf '\\n%%s end\\n' %s >&2\n", marker)
	}
	fmt.Fprintf(&b, "printf '\\n%%s end %%s\\n' %s \"$rc\"\n", marker)
	if payload != 0 {
		b.WriteString("exit\n") // what the script has left of its input is no further script
	}
	return b.String()
}

// environment is what every script finds.
const environment = `LC_ALL=C LANG=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export LC_ALL LANG PATH; umask 022
`

// noiseLimit bounds what is kept of output before the begin marker.
const noiseLimit = 16 << 10

// stream takes in one output stream of a framed command and cuts what the
// script wrote out of it.
type stream struct {
	marker string
	limit  int

	noise   []byte // before the begin marker, and all of it if the marker never comes
	begun   bool
	pid     int // of the shell; 0 on standard error
	body    []byte
	dropped bool
	took    int // how often the script has said that it took a part of its input
	ended   bool
	code    int // exit status; only on standard output
}

func (s *stream) write(p []byte) {
	if s.ended {
		return
	}
	if !s.begun {
		s.noise = append(s.noise, p...)
		rest, ok := s.findBegin()
		if !ok {
			s.noise = keepTail(s.noise, noiseLimit)
			return
		}
		s.begun = true
		p = rest
	}
	from := max(0, len(s.body)-len(s.marker)-16)
	s.body = append(s.body, p...)
	took := []byte("\n" + s.marker + " took\n")
	for i := bytes.Index(s.body[from:], took); i >= 0; i = bytes.Index(s.body[from:], took) {
		s.body = slices.Delete(s.body, from+i, from+i+len(took))
		s.took++
	}
	if s.findEnd(from) {
		return
	}
	if len(s.body) > s.limit+s.limit/4 {
		s.body = append([]byte(nil), keepTail(s.body, s.limit)...)
		s.dropped = true
	}
}

// findBegin looks for the whole begin line and returns what follows it.
func (s *stream) findBegin() (rest []byte, ok bool) {
	i := bytes.Index(s.noise, []byte(s.marker+" begin"))
	if i < 0 {
		return nil, false
	}
	line, rest, whole := bytes.Cut(s.noise[i:], []byte("\n"))
	if !whole {
		return nil, false
	}
	if fields := strings.Fields(string(line)); len(fields) == 3 {
		s.pid, _ = strconv.Atoi(fields[2])
	}
	rest = bytes.Clone(rest)
	s.noise = s.noise[:i]
	return rest, true
}

func (s *stream) findEnd(from int) bool {
	i := bytes.Index(s.body[from:], []byte("\n"+s.marker+" end"))
	if i < 0 {
		return false
	}
	i += from
	line, _, whole := bytes.Cut(s.body[i+1:], []byte("\n"))
	if !whole {
		return false
	}
	if fields := strings.Fields(string(line)); len(fields) == 3 {
		s.code, _ = strconv.Atoi(fields[2])
	}
	s.body = s.body[:i]
	s.ended = true
	return true
}

// output is what the script wrote, as far as it was kept.
func (s *stream) output() []byte {
	if len(s.body) > s.limit {
		return s.body[len(s.body)-s.limit:]
	}
	return s.body
}

func (s *stream) truncated() bool { return s.dropped || len(s.body) > s.limit }

func keepTail(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	return b[len(b)-n:]
}

// lastLines returns the end of some output on one line, for an error message.
func lastLines(b []byte) string {
	const limit = 600
	text := strings.TrimSpace(strings.ToValidUTF8(string(keepTail(b, limit)), "?"))
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	var kept []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	if len(kept) > 5 {
		kept = kept[len(kept)-5:]
	}
	return strings.Join(kept, "; ")
}
