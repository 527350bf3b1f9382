package hostprep

import (
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

func TestExamine(t *testing.T) {
	for _, c := range []struct {
		name, fields string
		want         string // check and severity of each finding
	}{
		{"a good host", "health.swap\t=0\nhealth.available\t=900000\nhealth.timesync\t=chronyd\nhealth.fs\t=ext4 rw,relatime /d\nhealth.inodes\t=99999 /d\nhealth.nr_open\t=1048576\nhealth.self\t=10.0.0.1", ""},
		{"swap", "health.timesync\t=ntpd\nhealth.swap\t=1048576\nhealth.swappiness\t=60", "swap warning"},
		{"swap that is hardly used", "health.timesync\t=ntpd\nhealth.swap\t=1048576\nhealth.swappiness\t=1", ""},
		{"no time service", "health.swap\t=0", "timesync warning"},
		{"a container", "health.container\t=lxc", ""},
		{"read-only", "health.timesync\t=ntpd\nhealth.fs\t=ext4 ro,relatime /d", "filesystem error"},
		{"network file system", "health.timesync\t=ntpd\nhealth.fs\t=nfs4 rw /d", "filesystem warning"},
		{"memory file system, twice the same directory", "health.timesync\t=ntpd\nhealth.fs\t=tmpfs rw /d\nhealth.fs\t=tmpfs rw /d", "filesystem warning"},
		{"inodes", "health.timesync\t=ntpd\nhealth.inodes\t=3 /d", "disk error"},
		{"open files", "health.timesync\t=ntpd\nhealth.nr_open\t=1024", "limits error"},
		{"own name on loopback", "health.timesync\t=ntpd\nhealth.self\t=127.0.1.1", "names warning"},
		{"an orphan", "health.timesync\t=ntpd\nhealth.server\t=77 zkserver --config /etc/zk/zoo.cfg", "leftovers warning"},
		{"our own", "health.timesync\t=ntpd\nhealth.server\t=7 zkserver --config /etc/zk/zoo.cfg", ""},
		{"another ensemble", "health.timesync\t=ntpd\nhealth.server\t=77 zkserver -Dsecret=x /other.cfg", "leftovers note"},
		{"a client", "health.timesync\t=ntpd\nhealth.server\t=77 /opt/zkserver cli addauth digest me:secret", ""},
		{"scratch", "health.timesync\t=ntpd\nhealth.scratch\t=/etc/.zkctl-hosts.99", "leftovers warning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields, err := remote.ParseFields([]byte(c.fields + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range Examine(&Facts{Host: "h", CPUs: 2, MemoryKiB: 1 << 20, IsRoot: true, Fields: fields}, 65536, []int{7}, []string{"/etc/zk/zoo.cfg"}) {
				got = append(got, f.Check+" "+f.Severity.String())
				if f.Severity != Note && f.Remedy == "" || strings.Contains(f.Text, "secret") {
					t.Errorf("finding %+v", f)
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
	small := Examine(&Facts{Host: "h", CPUs: 1, MemoryKiB: 200 << 10, Fields: remote.Fields{"health.timesync": {[]byte("ntpd")}}}, 1, nil, nil)
	if len(small) != 2 || small[0].Check != "cpu" || small[1].Severity != Error {
		t.Errorf("a small host: %v", small)
	}
}

func TestSlowDisk(t *testing.T) {
	for _, c := range []struct {
		median, high int
		want         Severity
	}{{300, 4000, Note}, {25_000, 30_000, Warning}, {1000, 300_000, Warning}, {1000, 2_100_000, Error}} {
		f := SlowDisk("h", "/d", c.median, c.high, 2000)
		if len(f) != 1 || f[0].Severity != c.want || f[0].Check != "fsync" {
			t.Errorf("%+v: %v", c, f)
		}
	}
}

func TestSameMachine(t *testing.T) {
	found := SameMachine([]*Facts{{Host: "a", MachineID: "1", Hostname: "a"}, {Host: "b", MachineID: "1", Hostname: "b"}, {Host: "c"}, {Host: "d"}})
	if len(found) != 1 || found[0].Host != "b" || !strings.Contains(found[0].Text, "machine id of a") {
		t.Errorf("%v", found)
	}
}

// The script of the checks runs on this machine.
func TestHealthFragment(t *testing.T) {
	dir := t.TempDir()
	f, err := Gather(t.Context(), remote.NewLocal("here", remote.Become{None: true}), Wanted{Extra: []string{HealthFragment([]string{dir + "/not/there"}, []string{dir})}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"health.swap", "health.nofile", "health.fs", "health.inodes"} {
		if f.Fields.Text(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if fs := f.Fields.Text("health.fs"); !strings.HasSuffix(fs, " "+dir+"/not/there") || len(strings.Fields(fs)) != 3 {
		t.Errorf("file system %q", fs)
	}
}
