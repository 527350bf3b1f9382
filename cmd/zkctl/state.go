package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

// stateFlag says where this machine keeps its audit trail.
func stateFlag() cli.Flag {
	return &cli.StringFlag{Name: "state-dir", EnvVars: []string{"ZKCTL_STATE_DIR"}, DefaultText: "$XDG_STATE_HOME/zkctl or ~/.local/state/zkctl",
		Usage: "`DIR` of the audit trail and the certificate authorities on this machine"}
}

func stateDir(c *cli.Context) (string, error) {
	if dir := c.String("state-dir"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "zkctl"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local/state/zkctl"), nil
}

// operator is who is at work: the person behind sudo, too.
func operator() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" && behind != name {
		name = behind + " as " + name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return name + "@" + host
}

// trailKey is where the app keeps the trail of the present run.
const trailKey = "trail"

// run is a run of which the audit trail is written.
type auditedRun struct {
	writer *trail.Writer
	run    *provision.Run
}

// beginTrail opens the audit trail of an operation and lets it follow. That it cannot be written is no reason not to
// operate, but is said.
func beginTrail(op *operation, run *provision.Run) {
	dir, _ := os.Getwd()
	b := trail.Begin{Time: time.Now(), Run: run.ID, Verb: run.Verb, Args: commandArgs, Dir: dir, Operator: operator(), PID: os.Getpid(),
		Version: version, Ensemble: op.inv.Name, Inventory: op.inv.File, Limit: op.limited}
	if data, err := os.ReadFile(op.inv.File); err == nil {
		sum := sha256.Sum256(data)
		b.SHA256 = hex.EncodeToString(sum[:])
	}
	state, err := stateDir(op.Context)
	var w *trail.Writer
	if err == nil {
		w, err = trail.Create(state, b, op.out.redact)
	}
	if err != nil {
		fmt.Fprintf(op.out.stderr, "zkctl: warning: no audit trail of this run: %v\n", err)
		return
	}
	show, warned := run.Report, false
	run.Report = func(e provision.Event) {
		if err := w.Write(e, e.Kind != provision.HostBegins && e.Kind != provision.HostEnds && e.Kind != provision.Note); err != nil && !warned {
			warned = true
			fmt.Fprintf(op.out.stderr, "zkctl: warning: the audit trail ends here: %v\n", err)
		}
		show(e)
	}
	op.App.Metadata[trailKey] = &auditedRun{w, run}
}

// endTrail writes how the present run ended, if there is one.
func endTrail(c *cli.Context, err error) {
	r, ok := c.App.Metadata[trailKey].(*auditedRun)
	if !ok {
		return
	}
	delete(c.App.Metadata, trailKey)
	e := trail.End{Time: time.Now(), ExitCode: exitCode(err), Changes: r.run.Changes()}
	if err != nil {
		e.Error = message(err)
	}
	if err := r.writer.End(e); err != nil {
		fmt.Fprintf(c.App.ErrWriter, "zkctl: warning: the audit trail lacks its end: %v\n", err)
	}
}

// commandArgs is the command line, as it is kept in the trail.
var commandArgs []string

// redact takes the secrets that were used so far out of a text.
func (s *secrets) redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.known {
		if len(v) >= 3 {
			quoted, _ := json.Marshal(v) // as it stands in a line of JSON
			text = strings.NewReplacer(v, "********", string(quoted[1:len(quoted)-1]), "********").Replace(text)
		}
	}
	return text
}

// runningHere is the run on this machine that is at work on the ensemble, "" if none is known.
func runningHere(c *cli.Context, inv *inventory.Inventory) string {
	state, err := stateDir(c)
	if err != nil {
		return ""
	}
	runs, err := trail.List(state, inv.Name)
	if err != nil {
		return ""
	}
	for _, r := range runs {
		if r.Running && r.PID != os.Getpid() {
			return fmt.Sprintf("%s (zkctl %s, process %d, since %s)", r.Operator, r.Verb, r.PID, r.Time.UTC().Format(time.RFC3339))
		}
	}
	return ""
}
