package chaos

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

var diskFaults = []fault{
	onOne("full disk", ours, fullDisk),
	onOne("slow fsync", anyone, slowDisk),
	onOne("hung disk", anyone, hungDisk),
	onOne("power cut", ours, powerCut),
	{"power cut of all", powerCutAll},
}

// fullDisk fills a member's disk, frees it again, and restarts the member: it has stopped, or is as good as that.
//
// Only zkserver members get full disks and power cuts. Apache ZooKeeper 3.8.0 acknowledges a new leader before what it got
// from it is on disk (ZOOKEEPER-4646), so it may lose what a quorum has; that is not what these runs are about.
func fullDisk(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	end := n.begin(kind, "member %d for %v", m.ID, d.hold)
	n.mayEnd(m)
	disk := n.disks[m.ID]
	n.fail(disk.Fill())
	time.Sleep(d.hold)
	n.fail(disk.Free())
	n.kill(m)
	n.fail(n.start(m))
	end()
}

// slowDisk lets a disk write 3 to 30 times a second, which makes each fsync take a tenth of a second to a second.
func slowDisk(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	writes := 3 + d.pick[1]%28
	end := n.begin(kind, "member %d: %d writes/s for %v", m.ID, writes, d.hold)
	n.fail(n.disks[m.ID].Throttle(writes))
	time.Sleep(d.hold)
	n.fail(n.disks[m.ID].Throttle(0))
	end()
}

// hungDisk lets no write and no fsync end for a while.
func hungDisk(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	end := n.begin(kind, "member %d for %v", m.ID, d.hold)
	disk := n.disks[m.ID]
	// Should this program end now, somebody has to thaw the disk: what waits for it cannot be killed.
	thaw := exec.Command("sh", "-c", fmt.Sprintf("sleep %d; fsfreeze -u %s 2>/dev/null", int(d.hold.Seconds())+20, disk.at))
	thaw.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	n.fail(thaw.Start())
	n.fail(disk.Freeze())
	time.Sleep(d.hold)
	n.fail(disk.Thaw())
	_ = syscall.Kill(-thaw.Process.Pid, syscall.SIGKILL)
	_ = thaw.Wait()
	end()
}

// powerCut ends a member and loses what it had not synced.
func powerCut(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	end := n.begin(kind, "member %d for %v", m.ID, d.hold/2)
	n.mayEnd(m)
	n.fail(n.disks[m.ID].CutPower())
	n.kill(m)
	time.Sleep(d.hold / 2)
	n.fail(n.disks[m.ID].Repower())
	n.fail(n.start(m))
	end()
}

// powerCutAll does it to everyone at once.
func powerCutAll(n *Nemesis, d draw) {
	all := n.takeAll()
	defer n.release(all...)
	for _, m := range all {
		if !ours(m) {
			n.skip("power cut of all")
			return
		}
	}
	end := n.begin("power cut of all", "for %v", d.hold/4)
	for _, m := range all {
		n.mayEnd(m)
		n.fail(n.disks[m.ID].CutPower())
	}
	for _, m := range all {
		n.kill(m)
	}
	time.Sleep(d.hold / 4)
	for _, m := range all {
		n.fail(n.disks[m.ID].Repower())
		n.fail(n.start(m))
	}
	end()
}
