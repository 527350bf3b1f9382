package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
)

// FileState is what a host says about a path.
type FileState struct {
	Path    string
	Exists  bool
	Kind    string // "file", "dir", "link", "other"; empty if it does not exist
	Target  string // of a link
	Mode    fs.FileMode
	Owner   string
	Group   string
	Size    int64
	ModTime int64  // seconds since 1970
	SHA256  string // hex, of a readable regular file or of the one a link leads to
}

// ReadFile returns a file's content. A file that does not exist is an error
// that wraps fs.ErrNotExist.
func ReadFile(ctx context.Context, host Host, path string, root bool) ([]byte, error) {
	const absent = 94
	res, err := host.Run(ctx, Command{
		Label:  "read " + path,
		Script: `[ -e "$1" ] || exit 94; cat <"$1"`, Args: []string{path}, Root: root, ReadOnly: true,
	})
	if res.ExitCode == absent {
		return nil, fmt.Errorf("%s: read %s: %w", host.Name(), path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if res.Truncated {
		return nil, fmt.Errorf("%s: read %s: more than %d bytes", host.Name(), path, CaptureLimit)
	}
	return res.Stdout, nil
}

// FieldsScript defines the shell functions with which an observing script
// reports facts for ParseFields: `field name value`, and `file name path` for
// the content of a file, which may be any bytes. Each report is a line: name,
// tab, then "=" and a one-line value, or the value in base64, or "x" and the value
// in hexadecimal where the host has no base64.
const FieldsScript = `
nl='
'
field() { case $2 in *"$nl"*) printf '%s\t%s\n' "$1" "$(printf '%s' "$2" | enc)" ;; *) printf '%s\t=%s\n' "$1" "$2" ;; esac; }
file() { if [ -f "$2" ] && [ -r "$2" ]; then printf '%s\t%s\n' "$1" "$(enc <"$2")"; fi; }
if command -v base64 >/dev/null 2>&1; then enc() { base64 -w0 2>/dev/null || base64 | tr -d '\n'; }
else enc() { printf x; od -An -v -tx1 | tr -d ' \n'; }; fi
`

// Fields are named values that a script reported. A name that was reported more
// than once has its values in order.
type Fields map[string][][]byte

// ParseFields reads what a script with FieldsScript printed. Lines that are not
// fields are errors: the frame keeps noise out.
func ParseFields(out []byte) (Fields, error) {
	f := make(Fields)
	for line := range bytes.Lines(out) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		name, value, ok := bytes.Cut(line, []byte("\t"))
		if !ok {
			return nil, fmt.Errorf("unexpected answer %q", lastLines(line))
		}
		data, err := decodeField(value)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		f[string(name)] = append(f[string(name)], data)
	}
	return f, nil
}

func decodeField(v []byte) ([]byte, error) {
	switch {
	case len(v) > 0 && v[0] == '=':
		return bytes.Clone(v[1:]), nil
	case len(v)%2 == 1 && v[0] == 'x':
		return hex.AppendDecode([]byte{}, v[1:])
	}
	return base64.StdEncoding.AppendDecode([]byte{}, v)
}

// Has reports whether the field was reported.
func (f Fields) Has(name string) bool { return len(f[name]) > 0 }

// Bytes returns the first value of a field, nil if there is none.
func (f Fields) Bytes(name string) []byte {
	if len(f[name]) == 0 {
		return nil
	}
	return f[name][0]
}

// Text returns the first value of a field without surrounding white space.
func (f Fields) Text(name string) string { return strings.TrimSpace(string(f.Bytes(name))) }

// Texts returns all values of a field.
func (f Fields) Texts(name string) []string {
	var out []string
	for _, v := range f[name] {
		out = append(out, strings.TrimSpace(string(v)))
	}
	return out
}

// Lines returns the lines of the first value that are not empty.
func (f Fields) Lines(name string) []string {
	return strings.FieldsFunc(string(f.Bytes(name)), func(r rune) bool { return r == '\n' || r == '\r' })
}
