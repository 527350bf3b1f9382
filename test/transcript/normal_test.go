//go:build interop

package transcript

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// transcript is what a client printed. Where commands came from stdin, step i is what followed line i.
type transcript struct {
	lines       []string
	out, errors []string
	events      []string
	code        int
}

// event is what zkCli.sh prints of a watch.
var event = regexp.MustCompile(`\nWATCHER::\n\n(WatchedEvent .*)\n`)

// eventsIn are the events in an output. How a session ends is left out, because it is a race in zkCli.sh: the connection is
// seen to go before it is closed, or not, and the program may be gone before it can say so.
func eventsIn(out string) []string {
	var events []string
	for _, match := range event.FindAllStringSubmatch(out, -1) {
		if !strings.HasPrefix(match[1], "WatchedEvent state:Disconnected type:None") && !strings.HasPrefix(match[1], "WatchedEvent state:Closed") {
			events = append(events, match[1])
		}
	}
	return events
}

var normal = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^SLF4J: .*\n`), ""},
	{regexp.MustCompile(`(?m)^msg="TLS handshake with a server failed" .*\n`), ""}, // what zkCli.sh has in its log
	// Stack traces of what nothing catches; zkcli says the same without the class.
	{regexp.MustCompile(`(?m)^(\tat |\t\.\.\. ).*\n`), ""},
	{regexp.MustCompile(`(?m)^Exception in thread "main" (?:[\w.$]+: )+`), ""},
	{regexp.MustCompile(`(?m)^(Caused by: |)(?:[a-z]+\.)+[\w$]+\$?ConfigException: `), "$1"},
	{regexp.MustCompile(`(?m)^Caused by: .*: KeeperErrorCode = ConnectionLoss\n`), ""}, // has been said
	{regexp.MustCompile(`(?m)^Caused by: (?:[\w.$]+: )+`), "Caused by: "},
	{regexp.MustCompile(`(?m)^([cmp]Zxid = )0x[0-9a-f]+$`), "${1}ZXID"},
	{regexp.MustCompile(`(?m)^([cm]time = )\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}$`), "${1}TIME"},
	{regexp.MustCompile(`(?m)^(ephemeralOwner = )0x1[0-9a-f]+$`), "${1}SESSION"},
	{regexp.MustCompile(`(?m)^(ZooKeeper CLI version: ).*$`), "${1}VERSION"},
}

// normalise makes alike what differs by nature.
func normalise(text string) string {
	for _, n := range normal {
		text = n.what.ReplaceAllString(text, n.with)
	}
	return text
}

// newTranscript cuts what was printed at the marks, and takes events out of it, which come when they come.
func newTranscript(lines []string, out, errors string, code int) transcript {
	t := transcript{lines: lines, code: code}
	t.events = eventsIn(out)
	sortRemovals(t.events)
	out = event.ReplaceAllString(out, "")
	t.out = regexp.MustCompile(regexp.QuoteMeta(markOut)+`(?:on|off)\n`).Split(normalise(out), -1)
	for i, text := range t.out {
		t.out[i] = identities.ReplaceAllStringFunc(text, func(list string) string {
			lines := strings.SplitAfter(list, "\n")
			slices.Sort(lines[1:])
			return strings.Join(lines, "")
		})
	}
	errors = strings.ReplaceAll(usage.ReplaceAllString(errors, "USAGE\n"), "USAGE\n"+markErr, markErr)
	t.errors = strings.Split(usageLines.Replace(normalise(errors)), markErr)
	return t
}

// identities are what whoami prints, at Apache ZooKeeper in the order of a hash table.
var identities = regexp.MustCompile(`(?m)^Auth scheme: User\n(?:.*: .*\n)+`)

// sortRemovals puts events about removed watches that stand together in one order; in zkCli.sh it is that of a hash table.
func sortRemovals(events []string) {
	removed := func(e string) bool { return strings.Contains(e, "WatchRemoved ") }
	for i := 0; i < len(events); i++ {
		n := i
		for n < len(events) && removed(events[n]) {
			n++
		}
		slices.SortFunc(events[i:n], cmp.Compare[string])
		i = max(i, n-1)
	}
}

// diff describes how two transcripts differ, "" if they do not.
func (t transcript) diff(other transcript) string {
	var b strings.Builder
	line := func(i int) string {
		switch {
		case i < len(t.lines):
			return fmt.Sprintf("%d: %s", i, t.lines[i])
		}
		return "at the end"
	}
	steps := func(name string, a, b2 []string) {
		for i := range max(len(a), len(b2)) {
			var x, y string
			if i < len(a) {
				x = a[i]
			}
			if i < len(b2) {
				y = b2[i]
			}
			if x != y {
				fmt.Fprintf(&b, "%s of %s\n--- \n%s+++ \n%s", name, line(i), x, y)
			}
		}
	}
	steps("stdout", t.out, other.out)
	steps("stderr", t.errors, other.errors)
	if !slices.Equal(t.events, other.events) {
		fmt.Fprintf(&b, "events\n--- \n%s\n+++ \n%s\n", strings.Join(t.events, "\n"), strings.Join(other.events, "\n"))
	}
	if t.code != other.code {
		fmt.Fprintf(&b, "exit codes %d and %d\n", t.code, other.code)
	}
	return b.String()
}

// usage is the list of commands.
var usage = regexp.MustCompile(`ZooKeeper -server host:port -client-configuration properties-file cmd args\n(?:\t.*\n)+`)

// usageLines are what zkcli's list of commands has that 3.8.0 does not: options of 3.9, and exit.
var usageLines = strings.NewReplacer(
	"\texit \n", "",
	"get [-s] [-w] [-b] [-x] path\n", "get [-s] [-w] path\n",
	"removewatches path [-c|-d|-p|-r|-a] [-l]\n", "removewatches path [-c|-d|-a] [-l]\n",
	"set [-s] [-v version] [-b] path data\n", "set [-s] [-v version] path data\n",
)

func TestNormalise(t *testing.T) {
	got := newTranscript([]string{"get /a"}, "Connecting\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\nx\nmZxid = 0x7f\nctime = "+
		"Thu Nov 26 22:08:32 UTC 2026\nephemeralOwner = 0x100006cbf3d000b\nprintwatches is on\nNot connected\nprintwatches is off\n",
		"SLF4J: none\nException in thread \"main\" java.lang.NumberFormatException: For input string: \"abc\"\n\tat java.base/x\n"+markErr, 1)
	want := transcript{out: []string{"Connecting\nx\nmZxid = ZXID\nctime = TIME\nephemeralOwner = SESSION\n", "Not connected\n", ""},
		errors: []string{"For input string: \"abc\"\n", ""}, events: []string{"WatchedEvent state:SyncConnected type:None path:null"}, code: 1}
	if diff := want.diff(got); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(*transcript){
		"stdout": func(t *transcript) { t.out[0] += "y" }, "stderr": func(t *transcript) { t.errors = t.errors[:1]; t.errors[0] = "" },
		"events": func(t *transcript) { t.events = nil }, "exit": func(t *transcript) { t.code = 0 },
	} {
		other := newTranscript(nil, "a\n\nWATCHER::\n\nWatchedEvent \n", "b\n", 2)
		mutated := newTranscript(nil, "a\n\nWATCHER::\n\nWatchedEvent \n", "b\n", 2)
		change(&mutated)
		if diff := other.diff(mutated); !strings.HasPrefix(diff, name) {
			t.Errorf("%s: %q", name, diff)
		}
	}
}
