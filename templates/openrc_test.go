package templates

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/busybox"
)

// fakeRCService does with the script for /etc/init.d, $RC_INIT, what OpenRC's rc-service and supervise-daemon were seen to do:
// a command that ends is started again, however it ended.
const fakeRCService = `#!/bin/sh
[ "$1" != -q ] || shift
state=$RC_INIT.pid
. "$RC_INIT"
[ "$supervisor" = supervise-daemon ] && [ "$respawn_max" = 0 ] || exit 9
alive() { [ -f "$state" ] && kill -0 "$(cat "$state")" 2>/dev/null; }
case $2 in
status) alive || exit 3 ;;
zap) rm -f "$state" ;;
start)
	alive && exit 0
	setsid sh -c 'trap "kill \$child; wait; exit" TERM; while :; do "$0" & child=$!; wait $child; sleep 0.2; done' "$command" >/dev/null 2>&1 </dev/null &
	echo $! >"$state" ;;
stop) alive || exit 1; kill "$(cat "$state")"; while alive; do sleep 0.05; done; rm -f "$state" ;;
esac
`

// openRC is a host on which OpenRC is in charge.
func openRC(t *testing.T, server string) *host {
	h := newHost(t, server)
	h.m.Manager = OpenRC
	bin := t.TempDir()
	write(t, filepath.Join(bin, "rc-service"), []byte(fakeRCService), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("RC_INIT", filepath.Join(bin, "init"))
	write(t, filepath.Join(bin, "init"), OpenRCService(h.m), 0o755)
	write(t, h.m.Supervisor(), SupervisorScript(h.m), 0o755)
	write(t, h.m.ServerScript(), ServerScript(h.m), 0o755)
	return h
}

func TestOpenRC(t *testing.T) {
	h := openRC(t, running)
	h.expect("no zookeeper to stop", 0, "stop")
	h.expect("Starting zookeeper ... STARTED", 0, "start")
	first := h.pid("")
	h.expect("already running as process "+first, 1, "start")
	h.expect("Mode: leader", 0, "status")
	if out, err := exec.Command("kill", "-KILL", first).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	second := h.pid(first)
	h.expect("Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED", 0, "restart")
	third := h.pid(second)
	h.expect("STOPPED", 0, "stop")
	if err := exec.Command("kill", "-0", third).Run(); err == nil {
		t.Errorf("process %s lives after stop", third)
	}
	if got, err := os.ReadFile(h.m.Started()); err != nil || string(got) != string(StartedWith(h.m)) {
		t.Errorf("started with %q, %v", got, err)
	}
}

// What is refused is not tried again for ever.
func TestOpenRCRefusedConfiguration(t *testing.T) {
	h := openRC(t, "echo refused; exit 2\n")
	h.expect("FAILED TO START", 1, "start")
	h.expect("no zookeeper to stop", 0, "stop")
	log, err := os.ReadFile(h.m.Log())
	if err != nil || !strings.Contains(string(log), "refused") {
		t.Errorf("log %q, %v", log, err)
	}
}

// The scripts need no other shell and no other tools than those of busybox, as on Alpine.
func TestBusybox(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for name, test := range map[string]func(*testing.T){
		"supervisor": TestZkServerScript, "killed server": TestSupervisorRestartsAKilledServer,
		"own configuration": TestOwnConfiguration, "environment": TestEnvironmentFiles, "status": TestStatusFindsThePort, "tools": TestTools,
		"OpenRC": TestOpenRC, "OpenRC, refused": TestOpenRCRefusedConfiguration,
	} {
		t.Run(name, func(t *testing.T) {
			busybox.Use(t)
			test(t)
		})
	}
}
