package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/properties"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// What a file with a membership has behind the name of zoo.cfg: the version in hexadecimal follows the first, the second
// holds one that is proposed.
const (
	dynamicSuffix = ".dynamic."
	nextSuffix    = ".dynamic.next"
	backupSuffix  = ".bak"
)

// Files are zoo.cfg and the files beside it that hold the memberships of a server (QuorumPeer.setQuorumVerifier,
// setLastSeenQuorumVerifier):
//
//	zoo.cfg                      without server lines, with dynamicConfigFile
//	zoo.cfg.dynamic.<version>    each membership that was ever committed here
//	zoo.cfg.dynamic.next         the one that is proposed, while there is one
//	zoo.cfg.bak                  zoo.cfg as it was before it was written for the first time
type Files struct {
	fs   vfs.FS
	name string // of zoo.cfg
	dir  string // its directory, without symbolic links
	self wire.ServerID
	// What the files say.
	version int64 // of the committed membership
	dynamic bool  // there is one apart from zoo.cfg
	next    int64 // 0 without a proposed one
}

// unknown is the version of a proposed membership that was not read: it is not this one's.
const unknown = -1

// Files returns the files of a server that has just read its configuration.
func (c *Config) Files(disk vfs.FS) (*Files, error) {
	name, err := filepath.Abs(c.File)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(name)
	if disk == vfs.OS {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return nil, err
		}
	}
	f := &Files{fs: disk, name: name, dir: dir, self: c.ServerID, version: c.Members.Version(), dynamic: c.DynamicFile != ""}
	switch {
	case c.LastSeen != nil:
		f.next = c.LastSeen.Version()
	case !f.dynamic:
		f.next = unknown
	}
	return f, nil
}

// Begin keeps a copy of a zoo.cfg that will be rewritten for the first time. Otherwise it makes sure that the files can be
// written: when a membership is agreed on it is too late to find out.
func (f *Files) Begin() error {
	err := f.touch()
	if err == nil && f.next == unknown {
		err = f.removeNext() // before there is a copy that would make it this one's
	}
	if err == nil && !f.dynamic {
		err = vfs.Copy(f.fs, f.name, f.name+backupSuffix)
	}
	if err != nil {
		return fmt.Errorf("reconfigEnabled needs a directory in which this server can write: %w", err)
	}
	return nil
}

// touch makes a file and removes it.
func (f *Files) touch() error {
	name := f.name + ".tmp"
	file, err := f.fs.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), f.fs.Remove(name))
}

// Save makes the files say which membership was committed last, and which was proposed last. What it returns from without
// an error is durable; a crash before that leaves what was there, or the new committed membership with either proposed one.
func (f *Files) Save(members, lastSeen *quorum.Config) error {
	if members.Version() != f.version {
		if err := f.saveMembers(members); err != nil {
			return err
		}
		f.version, f.dynamic = members.Version(), true
	}
	switch {
	case lastSeen.Version() > members.Version():
		if lastSeen.Version() == f.next {
			return nil
		}
		if err := vfs.Replace(f.fs, f.name+nextSuffix, lines(lastSeen, fmt.Sprintf("version=%x", uint64(lastSeen.Version())))); err != nil {
			return err
		}
		f.next = lastSeen.Version()
	case f.next != 0:
		return f.removeNext()
	}
	return nil
}

func (f *Files) removeNext() error {
	name := f.name + nextSuffix
	err := f.fs.Remove(name)
	if err == nil {
		err = f.fs.SyncDir(filepath.Dir(name))
	}
	if err != nil && !vfs.IsNotExist(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	f.next = 0
	return nil
}

// saveMembers writes the dynamic file and has zoo.cfg name it.
func (f *Files) saveMembers(members *quorum.Config) error {
	name := fmt.Sprintf("%s%s%x", f.name, dynamicSuffix, uint64(members.Version()))
	if err := vfs.Replace(f.fs, name, lines(members)); err != nil {
		return err
	}
	text, err := vfs.ReadFile(f.fs, f.name)
	if err != nil {
		return err
	}
	self, _ := members.Member(f.self)
	text = properties.Without(text, func(key string) bool {
		switch key = canonical(key); {
		case isMemberKey(key), key == "dynamicConfigFile", key == "peerType":
			return true
		case key == "clientPort", key == "clientPortAddress":
			return self.ClientPort != 0
		}
		return false
	})
	line := "dynamicConfigFile=" + strings.ReplaceAll(filepath.Join(f.dir, filepath.Base(name)), `\`, `\\`) + "\n"
	return vfs.Replace(f.fs, f.name, append(ended(text), line...))
}

// lines are the lines of a membership and more, sorted; none ends the last one.
func lines(c *quorum.Config, more ...string) []byte {
	all := append(c.Lines(), more...)
	slices.Sort(all)
	return []byte(strings.Join(all, "\n"))
}

// ended is a text to which a line can be added.
func ended(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if line := bytes.TrimSuffix(text, []byte("\n")); (len(line)-len(bytes.TrimRight(line, `\`)))%2 == 1 {
		text = append(text, '\n') // the last line goes on in the next one
	}
	return text
}
