package hostprep

import (
	"testing"

	"github.com/zkctl/zkctl/test/busybox"
)

// What hosts are asked and told needs no other shell and no other tools than those of busybox, as on Alpine.
func TestBusybox(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for name, test := range map[string]func(*testing.T){
		"facts": TestGather, "health": TestHealthFragment, "batch and undo": TestBatchAndUndo, "undo of shared files": TestUndoOfSharedFiles, "failures": TestBatchStopsAtAFailure, "long input": TestLongInputIsPutAside,
		"ufw": TestUFWOpened, "firewalld": TestFirewalldOpened, "kernel and name": TestTuned,
	} {
		t.Run(name, func(t *testing.T) {
			busybox.Use(t)
			test(t)
		})
	}
}
