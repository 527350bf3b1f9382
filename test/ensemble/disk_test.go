package ensemble

import (
	"path/filepath"
	"testing"
)

func TestPropose(t *testing.T) {
	m, same := filled(t, 1, "a", 0), filled(t, 2, "a", 0)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := m.Backup(backup); err != nil {
		t.Fatal(err)
	}
	if err := m.Propose("/alone"); err != nil {
		t.Fatal(err)
	}
	both := &Ensemble{members: map[int]*Member{1: m, 2: same}}
	if _, err := both.SameDiskDigests(); err == nil {
		t.Error("a proposal that only one member has makes no difference")
	}
	if err := m.Restore(backup); err != nil {
		t.Fatal(err)
	}
	if _, err := both.SameDiskDigests(); err != nil {
		t.Errorf("after the backup is back: %v", err)
	}
}
