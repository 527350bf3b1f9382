//go:build interop

package transcript

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// once are command lines, each a process of its own; later ones find what earlier ones did. SERVER is the server's address.
var once = []string{
	"-server SERVER create /one data",
	"-server SERVER create /one data",
	"-server SERVER get /one",
	"-server SERVER get -s /one",
	"-server SERVER get -q /one",
	"-server SERVER get /none",
	"-server SERVER get none",
	"-server SERVER set /one more -v 0",
	"-server SERVER set -v x /one more",
	"-server SERVER ls -R /",
	"-server SERVER stat /none",
	"-server SERVER -timeout 300000 create -e /mine",
	"-server SERVER getEphemerals",
	"-server SERVER stat /mine",
	"-server SERVER delete /mine",
	"-server SERVER addauth digest bob:x",
	"-server SERVER sync /one",
	"-server SERVER delete /one",
	"-server SERVER deleteall /none",
	"-server SERVER version",
	"-server SERVER help",
	"-server SERVER quit",
	"-server SERVER close",
	"-server SERVER history",
	"-server SERVER redo 0",
	"-server SERVER printwatches",
	"-server SERVER connect",
	"-server SERVER ''",
	"-server SERVER -timeout 60000 -r -unknown -waitforconnection ls /",
	"-server SERVER/chroot create /x",
	"-server SERVER/chroot/ ls /",
	"-server SERVER, ls /",
	"-server 127.0.0.1:1,SERVER -timeout 60000 -waitforconnection ls /",
	"-server SERVER:x ls /",
	"-server SERVER -timeout abc ls /",
	"-server SERVER -client-configuration /none ls /",
	"-server 127.0.0.1:1 ls /",
	"-server 127.0.0.1:1 -waitforconnection -timeout 600 ls /",
	"-server 127.0.0.1:1 sync /",
	"-server 127.0.0.1:1 version -server",
}

// TestOnce runs single commands and compares how they end.
func TestOnce(t *testing.T) {
	p := servers(t, 1)
	p.compare(t, "", func(t *testing.T, w way) transcript { return playOnce(t, w, p[w.server].Connection(), once) })
}

// playOnce runs command lines one after the other.
func playOnce(t *testing.T, w way, server string, lines []string) transcript {
	t.Helper()
	var all transcript
	alike := strings.NewReplacer(server, "SERVER")
	for _, line := range lines {
		words := strings.Fields(strings.ReplaceAll(line, "SERVER", server))
		if i := slices.Index(words, "''"); i >= 0 {
			words[i] = ""
		}
		cmd := w.command(t, nil, words[1], words[2:]...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		must(t, startGroup(cmd))
		killer := time.AfterFunc(patience, func() { signalGroup(cmd, syscall.SIGKILL) })
		_ = cmd.Wait() // the code says it
		killer.Stop()
		one := newTranscript(nil, alike.Replace(stdout.String()), alike.Replace(stderr.String()), cmd.ProcessState.ExitCode())
		all.lines = append(all.lines, line)
		all.out = append(all.out, strings.Join(one.out, markOut))
		all.errors = append(all.errors, fmt.Sprintf("%sexit code %d\n", strings.Join(one.errors, markErr), one.code))
	}
	return all
}
