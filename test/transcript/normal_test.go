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

// message is one of the two that zkCli.sh prints of an event. A thread of its own prints them, one after the other, so that other
// output may come in between.
var message = regexp.MustCompile(`\n(WATCHER::|WatchedEvent state:\w+ type:\w+ path:.*)\n`)

// eventsIn are the events in an output. How a session ends is left out, because it is a race in zkCli.sh: the connection is
// seen to go before it is closed, or not, and the program may be gone before it can say so, or after it has said the half.
func eventsIn(out string) []string {
	var events []string
	announced := 0
	for _, match := range message.FindAllStringSubmatch(out, -1) {
		event := match[1]
		if event == "WATCHER::" {
			announced++
			continue
		}
		if announced--; announced < 0 {
			events = append(events, "not announced: "+event)
		} else if !strings.HasPrefix(event, "WatchedEvent state:Disconnected type:None") && !strings.HasPrefix(event, "WatchedEvent state:Closed") {
			events = append(events, event)
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
	if announced := strings.Count(out, "\nWATCHER::\n") - strings.Count(out, "\nWatchedEvent "); announced > 1 {
		t.events = append(t.events, fmt.Sprintf("WATCHER:: without an event, %d times", announced))
	}
	sortRemovals(t.events)
	out = message.ReplaceAllString(out, "")
	t.out = regexp.MustCompile(regexp.QuoteMeta(markOut)+`(?:on|off)\n`).Split(normalise(out), -1)
	for i, text := range t.out {
		t.out[i] = identities.ReplaceAllStringFunc(text, func(list string) string {
			lines := strings.SplitAfter(list, "\n")
			slices.Sort(lines[1:])
			return strings.Join(lines, "")
		})
	}
	errors = strings.ReplaceAll(usage.ReplaceAllString(normalise(errors), "USAGE\n"), "USAGE\n"+markErr, markErr)
	t.errors = strings.Split(usageLines.Replace(errors), markErr)
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
		other := newTranscript(nil, "a\n"+watcher+changed, "b\n", 2)
		mutated := newTranscript(nil, "a\n"+watcher+changed, "b\n", 2)
		change(&mutated)
		if diff := other.diff(mutated); !strings.HasPrefix(diff, name) {
			t.Errorf("%s: %q", name, diff)
		}
	}
}

// TestRemember adds an error where there is none, and nothing else.
func TestRemember(t *testing.T) {
	forgotten := map[string]string{"deleteall /a": "Failed\n"}
	for errors, alike := range map[string]bool{"Failed\n" + markErr: true, markErr: true, "Other\n" + markErr: false, markErr + "Failed\n": false} {
		want := newTranscript([]string{"deleteall /a"}, "", "Failed\n"+markErr+markErr, 0)
		got := newTranscript([]string{"deleteall /a"}, "", errors+markErr, 0)
		got.remember(forgotten)
		if diff := want.diff(got); (diff == "") != alike {
			t.Errorf("%q: alike must be %v, difference %q", errors, alike, diff)
		}
	}
	got := newTranscript([]string{"delete /a"}, "", markErr, 0)
	got.remember(forgotten)
	if got.errors[0] != "" {
		t.Errorf("%q was remembered", got.errors[0])
	}
}

// The messages of events, and a mark.
const (
	watcher      = "\nWATCHER::\n"
	changed      = "\nWatchedEvent state:SyncConnected type:NodeDataChanged path:/a\n"
	disconnected = "\nWatchedEvent state:Disconnected type:None path:null\n"
	closed       = "\nWatchedEvent state:Closed type:None path:null\n"
	mark         = "printwatches is on\n"
)

// TestEventsBetween puts the messages of an event wherever they may come, and changes what must not differ.
func TestEventsBetween(t *testing.T) {
	want := newTranscript(nil, "x\n\ny\n"+mark+"z\n"+watcher+changed+mark, "", 0)
	for out, alike := range map[string]bool{
		"x\n\ny\n" + watcher + mark + "z\n" + changed + mark:                          true,
		watcher + "x\n\ny\n" + changed + mark + "z\n" + mark:                          true,
		"x\n\ny" + watcher + changed + "\n" + mark + "z\n" + mark:                     true, // a line is printed in pieces
		"x\n" + watcher + "\ny\n" + mark + changed + "z\n" + mark:                     true,
		"x\n\ny\n" + mark + "z\n" + watcher + changed + watcher + closed + mark:       true,
		"x\n\ny\n" + mark + watcher + disconnected + "z\n" + watcher + changed + mark: true,
		"x\n\ny\n" + mark + "z\n" + watcher + changed + mark + watcher:                true, // the end came in between
		"x\n\ny\n" + watcher + mark + "z\n" + watcher + changed + closed + mark:       true, // two sessions

		"x\ny\n" + mark + "z\n" + watcher + changed + mark:                            false,
		"x\n\n\ny\n" + mark + "z\n" + watcher + changed + mark:                        false,
		"x\n\ny\nz\n" + mark + watcher + changed + mark:                               false,
		"x\n\ny\n" + mark + "z\n" + mark:                                              false,
		"x\n\ny\n" + mark + "z\n" + watcher + mark:                                    false,
		"x\n\ny\n" + mark + "z\n" + watcher + watcher + changed + watcher + mark:      false,
		"x\n\ny\n" + mark + "z\n" + changed + mark:                                    false,
		"x\n\ny\n" + mark + "z\n" + changed + watcher + mark:                          false,
		"x\n\ny\n" + mark + "z\n" + watcher + closed + mark:                           false,
		"x\n\ny\n" + mark + "z\n" + watcher + changed[1:] + mark:                      false, // no blank line
		"x\n\ny\n" + mark + "z\n" + watcher[1:] + changed + mark:                      false,
		"x\n\ny\n" + mark + "z\n" + watcher + changed + watcher + changed + mark:      false,
		"x\n\ny\n" + mark + "z\n" + watcher + strings.TrimSpace(changed) + "b" + mark: false,
	} {
		if diff := want.diff(newTranscript(nil, out, "", 0)); (diff == "") != alike {
			t.Errorf("%q: alike must be %v, difference %q", out, alike, diff)
		}
	}
}
