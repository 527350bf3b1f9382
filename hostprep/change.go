package hostprep

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/zkctl/zkctl/remote"
)

// Kind tells what a Change acts on.
type Kind int

// The kinds of change.
const (
	// WriteFile replaces or creates the file at Target by After.
	WriteFile Kind = iota
	// RunScript runs Script; Target names the unit or setting it changes.
	RunScript
)

// Change is one alteration of one host, as a value: it can be printed, diffed
// and dropped in a dry run before anything happens. Planners return changes in
// the order in which they must be made; an empty list means that the host is
// as it should be.
type Change struct {
	Kind    Kind
	Target  string // absolute path, unit, or setting: "/etc/hosts", "firewalld.service", "selinux"
	Summary string // one line for the operator, in the infinitive: "stop and disable firewalld"

	// Of a file.
	Before  []byte // present content; nil if the file does not exist
	After   []byte // wanted content
	Mode    fs.FileMode
	Owner   string
	Group   string
	InPlace bool // keep the inode; see remote.File
	// Merged says that After is Before with something of ours, which others may write to as well: where a Batch finds another
	// content by now, it writes nothing.
	Merged bool

	// Of a script.
	Script string
	Args   []string
	// Stdin is the script's standard input. It may be secret: never print it.
	Stdin []byte

	// Undo takes a script's change back, and Saves are paths besides Target that it changes; both for the journal. What a
	// file was before is kept without being asked for.
	Undo  *Undo
	Saves []string
	// Shared says that other people's programs write Saves, too.
	Shared bool

	Root    bool          // needs the superuser
	Timeout time.Duration // zero means remote.DefaultCommandTimeout

	// Verify is a script that exits 0 exactly if the change is in force. It
	// runs with the same Root and Args. Empty where Upload's own verification
	// says it all.
	Verify string
}

// Exec makes the change on a host and verifies it. It is the only function
// here that alters a host; callers that plan or dry-run do not call it.
func (c Change) Exec(ctx context.Context, host remote.Host) error {
	switch c.Kind {
	case WriteFile:
		err := host.Upload(ctx, remote.File{
			Path: c.Target, Content: c.After, Mode: c.Mode,
			Owner: c.Owner, Group: c.Group, Root: c.Root, InPlace: c.InPlace,
		})
		if err != nil {
			return err
		}
	case RunScript:
		_, err := host.Run(ctx, remote.Command{
			Label: c.Summary, Script: c.Script, Args: c.Args, Stdin: c.Stdin, Root: c.Root, Timeout: c.Timeout,
		})
		if err != nil {
			return err
		}
	default:
		panic(fmt.Sprintf("hostprep: change of unknown kind %d", c.Kind))
	}
	if c.Verify == "" {
		return nil
	}
	_, err := host.Run(ctx, remote.Command{
		Label: "verify: " + c.Summary, Script: c.Verify, Args: c.Args, Root: c.Root, ReadOnly: true,
	})
	return err
}
