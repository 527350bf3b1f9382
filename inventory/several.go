package inventory

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SeveralError tells that there is more than one ensemble, and that one has to be chosen.
type SeveralError struct {
	Path  string
	Names []string
}

func (e *SeveralError) Error() string {
	return fmt.Sprintf("%s has %d ensembles: %s", e.Path, len(e.Names), strings.Join(e.Names, ", "))
}

// Hint is the remedy.
func (e *SeveralError) Hint() string { return "choose one with --ensemble NAME" }

// Load reads the one ensemble at path; see the function Load.
func (o Options) Load(path string) (*Inventory, error) {
	all, err := o.LoadAll(path)
	if err != nil {
		return nil, err
	}
	return one(path, all)
}

// Parse reads an inventory of one ensemble from data; see the function Parse.
func (o Options) Parse(file string, data []byte) (*Inventory, error) {
	all, err := o.parse(file, data)
	if err != nil {
		return nil, err
	}
	return one(file, all)
}

func one(path string, all []*Inventory) (*Inventory, error) {
	if len(all) > 1 {
		several := &SeveralError{Path: path}
		for _, inv := range all {
			several.Names = append(several.Names, inv.Name)
		}
		return nil, several
	}
	return all[0], nil
}

// LoadAll reads all ensembles at path: the YAML documents of a file, or of all files *.yaml and *.yml in a directory, in
// the order of their names. Ensembles have different names and share no port, directory or service on a machine.
func (o Options) LoadAll(path string) ([]*Inventory, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = inventoryFiles(path); err != nil {
			return nil, err
		}
	}
	var all []*Inventory
	var problems Problems
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		some, err := o.parse(file, data)
		var found Problems
		switch {
		case errors.As(err, &found):
			problems = append(problems, found...)
		case err != nil:
			return nil, err
		}
		all = append(all, some...)
	}
	if len(problems) == 0 && len(files) > 1 {
		l := &loader{problems: &problemSet{}}
		l.apart(all)
		problems = l.problems.list
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

func inventoryFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") &&
			!strings.HasSuffix(e.Name(), ".lock.yaml") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, Problems{{Place{File: dir}, "the directory has no file *.yaml"}}
	}
	slices.Sort(files)
	return files, nil
}

// apart refuses ensembles of one name, and members of different ensembles that get in each other's way.
func (l *loader) apart(all []*Inventory) {
	for i, b := range all {
		for _, a := range all[:i] {
			if a.Name == b.Name && a.Name != "" {
				l.problem(Place{File: b.File}, "the name %s is already that of an ensemble in %s", b.Name, a.File)
			}
			for _, x := range a.Hosts {
				for _, y := range b.Hosts {
					l.sameMachine(x, y)
				}
			}
		}
	}
}
