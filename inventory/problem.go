package inventory

import (
	"fmt"
	"strings"
)

// Place is a position in an inventory file. The zero value is "nowhere in particular".
type Place struct {
	File         string
	Line, Column int
}

// String is file:line:column, as compilers and editors write it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing that is wrong with an inventory, and where.
type Problem struct {
	Place Place
	Text  string
}

// Error is the place followed by the text.
func (p Problem) Error() string {
	if p.Place == (Place{}) {
		return p.Text
	}
	return p.Place.String() + ": " + p.Text
}

// Problems are all that is wrong with an inventory, in the order of the file. It is the error that Load and Parse return.
type Problems []Problem

// Error has one problem on a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}
