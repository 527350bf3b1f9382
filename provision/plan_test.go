package provision

import (
	"strings"
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// What hosts do alike is printed once, also where only their directories differ.
func TestPrintShowsWhatIsAlikeOnce(t *testing.T) {
	host := func(name string) inventory.Host {
		h := inventory.Host{Name: name}
		h.Server.Paths = inventory.Paths{Data: "/srv/" + name, TxnLog: "/srv/" + name, Install: "/opt/zk", Config: "/etc/zk", Log: "/var/log/zk"}
		return h
	}
	write := func(file, content string) hostprep.Change {
		return hostprep.Change{Kind: hostprep.WriteFile, Target: file, Summary: "write " + file, After: []byte(content)}
	}
	p := &Plan{}
	p.add("files", host("idle"), nil, "a note of nobody's")
	for i, name := range []string{"a", "b", "c"} {
		p.add("files", host(name), []hostprep.Change{
			write("/opt/zk/start", "#!/bin/sh\n"), write("/etc/zk/zoo.cfg", "dataDir=/srv/"+name+"\n"), write("/etc/zk/myid", string(rune('1'+i))+"\n"),
		}, "nothing starts it")
	}
	var b strings.Builder
	p.Print(&b)
	const want = `files
  a, b, c: nothing starts it
  a, b, c: write /opt/zk/start
      --- /dev/null
      +++ /opt/zk/start
      @@ -0,0 +1 @@
      +#!/bin/sh
  a: write /etc/zk/zoo.cfg
      --- /dev/null
      +++ /etc/zk/zoo.cfg
      @@ -0,0 +1 @@
      +dataDir=/srv/a
  b, c: the same in their own directories
  a: write /etc/zk/myid
      --- /dev/null
      +++ /etc/zk/myid
      @@ -0,0 +1 @@
      +1
  b: write /etc/zk/myid
      --- /dev/null
      +++ /etc/zk/myid
      @@ -0,0 +1 @@
      +2
  c: write /etc/zk/myid
      --- /dev/null
      +++ /etc/zk/myid
      @@ -0,0 +1 @@
      +3
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
