//go:build chaos

package resources

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// raiseFiles takes as many descriptors as this process may have, and says how many that is.
func raiseFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	limit.Cur = limit.Max
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// controlGroup makes a memory control group with a limit, of version 2 or 1, and returns its directory.
func controlGroup(t *testing.T, limitBytes int64) (string, error) {
	for _, at := range []struct{ dir, limit string }{
		{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		dir := filepath.Join(at.dir, "zkctl-resources-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, at.limit), []byte(strconv.FormatInt(limitBytes, 10)), 0o644) == nil {
			return dir, nil
		}
	}
	return "", errors.New("no memory control group can be made here")
}

// TestMemory: a tree that takes most of the memory that there is, changed all the time by clients in a hurry, does not
// make a member ask for more. With a control group the kernel would end the one that did.
func TestMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "160MiB")
	const limit = 900 << 20 // of the three members
	var e *ensemble.Ensemble
	t.Cleanup(func() {
		if e != nil {
			e.Close() // before its control group goes
		}
	})
	if dir, err := controlGroup(t, limit); err == nil {
		t.Setenv("TEST_CGROUP", dir)
	} else {
		t.Log(err)
	}
	e = start(t, ensemble.Settings{Extra: []string{"snapCount=500", "preAllocSize=64"}})
	at := newCanary(t, "canary", e.Servers()[1])
	end := time.Now().Add(15 * time.Second)
	var group sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		group.Go(func() {
			var s session
			if errs[i] = s.connect(e.Servers()[i%3], 40*time.Second); errs[i] != nil {
				return
			}
			defer s.conn.Close()
			path := "/n" + strconv.Itoa(i)
			errs[i] = s.do(wire.OpCreate, wire.CreateRequest{Path: path, ACL: wire.OpenACL()}.Append(nil))
			for n := 0; errs[i] == nil && time.Now().Before(end); n++ {
				child := path + "/" + strconv.Itoa(n%8)
				data := make([]byte, 500_000)
				if n < 8 {
					errs[i] = s.do(wire.OpCreate, wire.CreateRequest{Path: child, Data: data, ACL: wire.OpenACL()}.Append(nil))
				} else {
					errs[i] = s.do(wire.OpSetData, wire.SetDataRequest{Path: child, Data: data, Version: -1}.Append(nil))
				}
			}
		})
	}
	group.Wait()
	t.Logf("memory of members %s", memory(e))
	must(t, errors.Join(errs...))
	alive(t, e)
	at.end(t, "beside them")
	for _, m := range e.Members() {
		if rss, err := m.RSS(); err != nil || rss > limit/3 {
			t.Errorf("member %d takes %d MiB (%v)", m.ID, rss>>20, err)
		}
	}
	must(t, e.NoDigestMismatches())
}
