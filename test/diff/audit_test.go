//go:build diff

package diff

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// auditLines are the lines of the audit log of a member of either kind, with sessions numbered by their first appearance.
// What Apache ZooKeeper has in the order of a hash table is sorted: users, and the nodes that end with a session.
func auditLines(t *testing.T, m *ensemble.Member) []string {
	t.Helper()
	file := filepath.Join(m.Dir, "audit.log")
	if m.Kind == ensemble.Apache {
		file = filepath.Join(m.Dir, "log") // slf4j-simple writes everything there
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // not yet
	}
	sessions := make(map[string]int)
	var lines []string
	for line := range strings.Lines(string(text)) {
		prefix, event, found := strings.Cut(line, "Slf4jAuditLogger: ")
		if m.Kind == ensemble.Apache {
			prefix, event, found = strings.Cut(line, "org.apache.zookeeper.audit.Slf4jAuditLogger - ")
		} else if found && !layout.MatchString(prefix) {
			t.Errorf("a line of the audit log begins with %q", prefix)
		}
		if !found {
			continue
		}
		level := "INFO"
		if strings.Contains(prefix, "ERROR") {
			level = "ERROR"
		}
		fields := strings.Split(strings.TrimSuffix(event, "\n"), "\t")
		for i, field := range fields {
			name, value, _ := strings.Cut(field, "=")
			switch name {
			case "session":
				if sessions[value] == 0 {
					sessions[value] = len(sessions) + 1
				}
				fields[i] = fmt.Sprintf("session=#%d", sessions[value])
			case "user":
				users := strings.Split(value, ",")
				slices.Sort(users)
				fields[i] = "user=" + strings.Join(users, ",")
			}
		}
		lines = append(lines, level+" "+strings.Join(fields, " "))
	}
	isEnd := func(line string) bool { return strings.Contains(line, " operation=ephemeralZNode") }
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && isEnd(lines[to]) {
			to++
		}
		slices.Sort(lines[from:to])
		from = max(from, to-1)
	}
	return lines
}

// layout is that of Apache ZooKeeper's logback.xml, with the name of the logger cut off.
var layout = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) o\.a\.z\.a\.$`)

// hashes are those of ids of the scheme digest, which zkserver hides.
var hashes = regexp.MustCompile(`digest:(\w+):[^: ]+:`)

// audited does everything that is logged, and some that is not.
func audited(k *talk) {
	k.open("a", "b")
	for i, flags := range []int32{0, 1, 2, 3, 4} {
		for _, op := range []wire.OpCode{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer} {
			k.ask("a", op, create(fmt.Sprintf("/c%d-%d", i, op), []byte("x"), open, flags))
		}
	}
	k.ask("a", wire.OpCreate, create("/c0-1", nil, open, 0))         // exists
	k.ask("a", wire.OpCreate, create("/none/x", nil, open, 2))       // no parent
	k.ask("a", wire.OpCreate, create("/bad", nil, nil, 1))           // no list
	k.ask("a", wire.OpCreate, create("no path", nil, open, 0))       // no path
	k.ask("a", wire.OpCreate, create("/flags", nil, open, 9))        // no such flags
	k.ask("a", wire.OpCreate, create("/cut", nil, open, 0)[:9])      // no record
	k.ask("a", wire.OpCreateTTL, createTTL("/ttl", nil, open, 9, 1)) // no such flags
	k.ask("a", wire.OpSetData, setData("/c0-1", []byte("y"), 0))
	k.ask("a", wire.OpSetData, setData("/c0-1", []byte("y"), 0)) // wrong version
	k.ask("a", wire.OpSetData, setData("/none", nil, -1))
	k.ask("a", wire.OpDelete, pathVersion("/c0-15", 7))
	k.ask("a", wire.OpDelete, pathVersion("/c0-15", -1))
	k.ask("a", wire.OpDelete, pathVersion("/", -1))
	k.ask("a", wire.OpSetACL, setACL("/c0-1", aclList{{31, "world", "anyone"}, {5, "ip", "10.0.0.0/8"}, {0, "world", "anyone"}}, -1))
	k.ask("a", wire.OpSetACL, setACL("/c0-1", aclList{{31, "auth", ""}}, -1)) // nobody
	k.ask("a", wire.OpSetACL, setACL("/none", open, -1))
	k.ask("a", wire.OpReconfig, body{}.str(null).str(null).str(null).long(-1))
	k.digest("b", "alice:a")
	k.ask("b", wire.OpSetACL, setACL("/c0-1", aclList{{31, "auth", ""}, {1, "digest", "bob:hash"}}, -1))
	k.digest("b", "bob:b")
	k.digest("b", "super:super")
	k.ask("b", wire.OpCreate, create("/b", nil, open, 0))
	k.ask("a", wire.OpSetData, setData("/c0-1", nil, -1)) // may not
	k.ask("a", wire.OpMulti, body{}.
		part(wire.OpCreate, create("/m", nil, open, 0)).part(wire.OpCreate, create("/m/s-", nil, open, 2)).part(wire.OpCreate2, create("/m/e", nil, open, 1)).
		part(wire.OpCreateContainer, create("/m/c", nil, open, 4)).part(wire.OpCheck, pathVersion("/m", 0)).
		part(wire.OpCreateTTL, createTTL("/m/t", nil, open, 5, 1000000)).
		part(wire.OpSetData, setData("/m", []byte("z"), 0)).part(wire.OpDelete, pathVersion("/m/c", -1)).end())
	k.ask("a", wire.OpMulti, body{}.part(wire.OpSetData, setData("/m", nil, -1)).part(wire.OpCheck, pathVersion("/none", 0)).end())
	k.ask("a", wire.OpMulti, body{}.end())
	k.ask("a", wire.OpMulti, body{}.int(1))
	for _, op := range []wire.OpCode{wire.OpGetData, wire.OpExists, wire.OpGetChildren} {
		k.ask("a", op, read("/m", false))
	}
	k.ask("a", wire.OpCloseSession, nil)
	k.open("a")
	k.ask("a", wire.OpCreate, create("/last", nil, open, 0))
}

// TestAudit compares the audit logs of servers to which the same was done, from their start to their end.
func TestAudit(t *testing.T) {
	p := servers(t, 1, "audit.enable=true", "auditlog.file=audit.log")
	compare(t, p, 0, audited)
	var logs [2][]string
	for i, e := range p.ensembles {
		m := e.Member(1)
		must(t, ensemble.Until(10*time.Second, "the last line", func() bool {
			lines := auditLines(t, m)
			return len(lines) > 0 && strings.Contains(lines[len(lines)-1], "znode=/last ")
		}))
		must(t, m.Stop())
		logs[i] = auditLines(t, m)
	}
	ours, theirs := logs[0], logs[1]
	for i := range theirs {
		theirs[i] = hashes.ReplaceAllString(theirs[i], "digest:$1:x:")
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("zkserver:\n%s\napache:\n%s", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
	me, err := user.Current()
	must(t, err)
	if len(ours) < 40 || ours[0] != "INFO user="+me.Username+" operation=serverStart result=success" {
		t.Errorf("%d lines, the first is %s", len(ours), ours[0])
	}
}
