package config

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/vfs"
)

// A zoo.cfg as Apache ZooKeeper 3.8.0 rewrote it, and the dynamic files that it wrote.
const (
	original = `# the members
tickTime=2000
initLimit=10
syncLimit=5
reconfigEnabled=true
dataDir=/d
peerType=participant
server.1=127.0.0.1:22881:23881:participant;127.0.0.1:21811
server.2=127.0.0.1:22882:23882:participant;127.0.0.1:21812
clientPort=21811
server.3=127.0.0.1:22883:23883:participant;127.0.0.1:21813`
	rewritten = `# the members
tickTime=2000
initLimit=10
syncLimit=5
reconfigEnabled=true
dataDir=/d
dynamicConfigFile=/etc/zk/zoo.cfg.dynamic.%s
`
	threeServers = `server.1=127.0.0.1:22881:23881:participant;127.0.0.1:21811
server.2=127.0.0.1:22882:23882:participant;127.0.0.1:21812
server.3=127.0.0.1:22883:23883:participant;127.0.0.1:21813`
	fourServers = threeServers + `
server.4=127.0.0.1:22884:23884:observer;127.0.0.1:21814`
)

const zooCfg = "/etc/zk/zoo.cfg"

// disk holds a zoo.cfg and myid.
func disk(t *testing.T, text string) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	for name, content := range map[string]string{zooCfg: text, "/d/myid": "1\n"} {
		dir, _, _ := strings.Cut(name[1:], "/")
		if err := errors.Join(mem.MkdirAll("/"+dir), mem.MkdirAll("/etc/zk"), vfs.Replace(mem, name, []byte(content))); err != nil {
			t.Fatal(err)
		}
	}
	return mem
}

func reload(t *testing.T, mem *vfs.Mem) (*Config, *Files) {
	t.Helper()
	c, err := LoadFrom(mem, zooCfg)
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files(mem)
	if err != nil {
		t.Fatal(err)
	}
	return c, files
}

func members(t *testing.T, lines string, version int64) *quorum.Config {
	t.Helper()
	c, err := quorum.Parse([]byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	return c.WithVersion(version)
}

func expect(t *testing.T, mem *vfs.Mem, name, want string) {
	t.Helper()
	got, err := vfs.ReadFile(mem, "/etc/zk/"+name)
	if want == "" {
		if !vfs.IsNotExist(err) {
			t.Errorf("%s is there: %v\n%s", name, err, got)
		}
		return
	}
	if err != nil || string(got) != want {
		t.Errorf("%s: %v\n got\n%s\n want\n%s", name, err, got, want)
	}
}

// TestProposedMembershipOutlivesEditing: an operator who changes another setting, or the order of the lines, does not make
// a member forget what was proposed; one who changes the members does.
func TestProposedMembershipOutlivesEditing(t *testing.T) {
	for _, c := range []struct {
		name   string
		edited string
		known  bool
	}{
		{"untouched", original, true},
		{"another setting", "# edited\n" + original + "\nmaxClientCnxns=7\n", true},
		{"another member", original + "\nserver.7=seven:1:2\n", false},
	} {
		mem := disk(t, original)
		read, files := reload(t, mem)
		if err := files.Begin(); err != nil {
			t.Fatal(err)
		}
		if err := files.Save(&read.Members, members(t, fourServers, 0x300000006)); err != nil {
			t.Fatal(err)
		}
		if err := vfs.Replace(mem, zooCfg, []byte(c.edited)); err != nil {
			t.Fatal(err)
		}
		if read, _ := reload(t, mem); (read.LastSeen != nil) != c.known {
			t.Errorf("%s: proposed: %v", c.name, read.LastSeen)
		}
	}
}

func TestFilesAreWrittenAsApacheZooKeeperWritesThem(t *testing.T) {
	mem := disk(t, original)
	vfs.Replace(mem, zooCfg+".dynamic.next", []byte("server.9=left:1:2\nversion=900000000"))
	c, files := reload(t, mem)
	if c.LastSeen != nil {
		t.Errorf("a file beside a zoo.cfg with servers of its own was read: %v", c.LastSeen)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(files.Begin())
	expect(t, mem, "zoo.cfg.bak", original)
	initial := &c.Members
	must(files.Save(initial, initial.WithVersion(0x100000000)))
	expect(t, mem, "zoo.cfg", original)
	expect(t, mem, "zoo.cfg.dynamic.next", threeServers+"\nversion=100000000")
	first := initial.WithVersion(0x100000000)
	must(files.Save(first, first))
	expect(t, mem, "zoo.cfg", fmt.Sprintf(rewritten, "100000000"))
	expect(t, mem, "zoo.cfg.dynamic.100000000", threeServers)
	expect(t, mem, "zoo.cfg.dynamic.next", "")

	c, files = reload(t, mem)
	if string(c.ConfigText()) != string(first.Text()) || c.LastSeen != nil || c.ClientPort != 21811 {
		t.Fatalf("read again: %s, client port %d", c.ConfigText(), c.ClientPort)
	}
	must(files.Begin())
	expect(t, mem, "zoo.cfg.bak", original)
	second := members(t, fourServers, 0x300000006)
	must(files.Save(first, second))
	if c, _ := reload(t, mem); c.LastSeen.String() != second.String() || c.Members.Version() != 0x100000000 {
		t.Errorf("proposed: %v", c.LastSeen)
	}
	must(files.Save(second, second))
	expect(t, mem, "zoo.cfg", fmt.Sprintf(rewritten, "300000006"))
	expect(t, mem, "zoo.cfg.dynamic.300000006", fourServers)
	expect(t, mem, "zoo.cfg.dynamic.100000000", threeServers)
	expect(t, mem, "zoo.cfg.dynamic.next", "")

	// An older proposal takes the place of one that is part of no history any more.
	must(files.Save(second, second.WithVersion(0x400000002)))
	must(files.Save(second, second.WithVersion(0x400000001)))
	expect(t, mem, "zoo.cfg.dynamic.next", fourServers+"\nversion=400000001")
	must(files.Save(second, second))
	expect(t, mem, "zoo.cfg.dynamic.next", "")
}

// The client port stays in zoo.cfg while the membership does not say it.
func TestClientPortOfZooCfg(t *testing.T) {
	text := "dataDir=/d\ninitLimit=1\nsyncLimit=1\nreconfigEnabled=true\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n" +
		"clientPort=2181\nclientPortAddress=127.0.0.1\nclientPortListenBacklog=7\ngroup.1=1:2:3\nweight.1=2\n# \\"
	mem := disk(t, text)
	c, files := reload(t, mem)
	next := c.Members.WithVersion(5)
	if err := errors.Join(files.Begin(), files.Save(next, next)); err != nil {
		t.Fatal(err)
	}
	expect(t, mem, "zoo.cfg", "dataDir=/d\ninitLimit=1\nsyncLimit=1\nreconfigEnabled=true\n"+
		"clientPort=2181\nclientPortAddress=127.0.0.1\nclientPortListenBacklog=7\n# \\\n\ndynamicConfigFile=/etc/zk/zoo.cfg.dynamic.5\n")
	expect(t, mem, "zoo.cfg.dynamic.5", "group.1=1:2:3\nserver.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\nweight.1=2\nweight.2=1\nweight.3=1")
	c, files = reload(t, mem)
	withPort := members(t, strings.Replace(strings.Join(c.Members.Lines(), "\n"), "participant", "participant;2182", 1), 6)
	if err := files.Save(withPort, withPort); err != nil {
		t.Fatal(err)
	}
	expect(t, mem, "zoo.cfg", "dataDir=/d\ninitLimit=1\nsyncLimit=1\nreconfigEnabled=true\nclientPortListenBacklog=7\n# \\\n\ndynamicConfigFile=/etc/zk/zoo.cfg.dynamic.6\n")
	if c, _ = reload(t, mem); c.ClientPort != 2182 {
		t.Errorf("client port %d", c.ClientPort)
	}
}

// TestPowerFailsWhileFilesAreWritten lets the power fail before each operation in turn: the next start has what was there
// or what was to be there, and a proposed membership is not lost before it is committed.
func TestPowerFailsWhileFilesAreWritten(t *testing.T) {
	for _, previous := range []string{original, fmt.Sprintf(rewritten, "5")} {
		for fail := 0; ; fail++ {
			mem := disk(t, previous)
			if err := vfs.Replace(mem, zooCfg+".dynamic.5", []byte(threeServers)); err != nil {
				t.Fatal(err)
			}
			c, files := reload(t, mem)
			old, next := c.Members.Version(), members(t, fourServers, 0x100000000)
			ops, proposed, committed := 0, false, false
			mem.Fail = func(op, name string) error {
				if ops++; ops > fail {
					return vfs.ErrKilled
				}
				return nil
			}
			err := files.Begin()
			if err == nil {
				err = files.Save(&c.Members, next)
				proposed = err == nil
			}
			if err == nil {
				err = files.Save(next, next)
				committed = err == nil
			}
			mem.Fail = nil
			mem.Crash(rand.New(rand.NewPCG(uint64(fail), 1)))
			c, _ = reload(t, mem)
			version := c.Members.Version()
			switch {
			case version != old && version != next.Version(), committed && version != next.Version():
				t.Errorf("after %d operations: membership %x", fail, version)
			case proposed && version != next.Version() && (c.LastSeen == nil || c.LastSeen.Version() != next.Version()):
				t.Errorf("after %d operations: membership %x, proposed %v", fail, version, c.LastSeen)
			case c.LastSeen != nil && c.LastSeen.Version() != next.Version():
				t.Errorf("after %d operations: proposed %v", fail, c.LastSeen)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, vfs.ErrKilled) {
				t.Fatal(err)
			}
		}
	}
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	mem := disk(t, original)
	_, files := reload(t, mem)
	mem.Fail = func(op, name string) error {
		if op == "create" {
			return errors.New("read-only file system")
		}
		return nil
	}
	if err := files.Begin(); err == nil || !strings.Contains(err.Error(), "reconfigEnabled needs a directory") {
		t.Error(err)
	}
}
