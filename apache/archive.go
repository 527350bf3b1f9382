package apache

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Release is what an archive holds.
type Release struct {
	Version Version
	// Top is the directory that all of the archive lies in.
	Top string
	// Jars are the class path: the server's jar first, then its libraries by name. Paths are relative to Top.
	Jars []Jar
	// Prometheus says that the provider of Prometheus metrics is among the jars.
	Prometheus bool
	// Archive is the file itself, SHA256 its checksum in lower-case hex.
	Archive []byte
	SHA256  string
}

// Jar is a file of the class path.
type Jar struct{ Path, SHA256 string }

// Name names the release by version and content.
func (r *Release) Name() string {
	return "apache-zookeeper-" + r.Version.String() + "-" + r.SHA256[:12]
}

// Error says what is wrong with an archive.
type Error struct{ File, Text, Remedy string }

// Error has the file and what is wrong.
func (e *Error) Error() string { return fmt.Sprintf("server.archive: %s: %s", e.File, e.Text) }

// Hint says where to get a better one.
func (e *Error) Hint() string { return e.Remedy }

const wantBinary = "use the binary release: zookeeper-3.4.x.tar.gz, or apache-zookeeper-3.5.5-bin.tar.gz and later"

var loaded sync.Map // file and its state to *Release; reading one takes a while

// Load reads an archive. The error is *Error where the file is not there or not an archive of a release.
func Load(file string) (*Release, error) {
	state, err := os.Stat(file)
	if err != nil {
		return nil, &Error{file, errors.Unwrap(err).Error(), "download the release first: zkctl brings it to the hosts from this machine"}
	}
	key := fmt.Sprint(file, state.Size(), state.ModTime())
	if r, ok := loaded.Load(key); ok {
		return r.(*Release), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	loaded.Store(key, r)
	return r, nil
}

// mainJar is the server's jar: beside bin up to 3.5.4, in lib since then.
var mainJar = regexp.MustCompile(`^(?:lib/)?zookeeper-([0-9]+\.[0-9]+\.[0-9]+[^/]*)\.jar$`)

// Parse reads an archive from its bytes; file is for messages.
func Parse(file string, data []byte) (*Release, error) {
	wrong := func(format string, args ...any) error { return &Error{file, fmt.Sprintf(format, args...), wantBinary} }
	unpack, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, wrong("is no .tar.gz: %v", err)
	}
	sum := sha256.Sum256(data)
	r := &Release{Archive: data, SHA256: hex.EncodeToString(sum[:])}
	var main, libraries []Jar
	version, source := "", false
	for files := tar.NewReader(unpack); ; {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, wrong("cannot be read to its end: %v", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name := path.Clean(h.Name)
		top, inner, _ := strings.Cut(name, "/")
		switch {
		case !filepath.IsLocal(name), top == ".":
			return nil, wrong("%q would lie outside of the release", h.Name)
		case !slices.Contains([]byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink}, h.Typeflag):
			return nil, wrong("%q is neither a file nor a directory nor a link", h.Name)
		case (h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink) && !inside(top, name, h):
			return nil, wrong("%q is a link that leads out of the release", h.Name)
		case r.Top == "":
			r.Top = top
		case top != r.Top:
			return nil, wrong("has the directories %q and %q at its top, a release has one", r.Top, top)
		}
		source = source || inner == "pom.xml" || inner == "zookeeper-server/pom.xml"
		found := mainJar.FindStringSubmatch(inner)
		if h.Typeflag != tar.TypeReg || found == nil && (path.Dir(inner) != "lib" || path.Ext(inner) != ".jar") {
			continue
		}
		content := sha256.New()
		if _, err := io.Copy(content, files); err != nil {
			return nil, wrong("%s cannot be read: %v", h.Name, err)
		}
		jar := Jar{inner, hex.EncodeToString(content.Sum(nil))}
		if found == nil {
			libraries = append(libraries, jar)
			r.Prometheus = r.Prometheus || strings.HasPrefix(path.Base(inner), "zookeeper-prometheus-metrics")
			continue
		}
		main, version = append(main, jar), found[1]
	}
	switch {
	case len(main) == 0 && source:
		return nil, wrong("is the source of a release: it has no jar to run")
	case len(main) == 0:
		return nil, wrong("has neither zookeeper-VERSION.jar nor lib/zookeeper-VERSION.jar")
	case len(main) > 1:
		return nil, wrong("has two servers: %s and %s", main[0].Path, main[1].Path)
	case len(libraries) == 0:
		return nil, wrong("has no libraries in lib")
	}
	if r.Version, err = ParseVersion(version); err != nil {
		return nil, wrong("%v", err)
	}
	if r.Version.Before(3, 4, 0) {
		return nil, wrong("Apache ZooKeeper %v is too old: zkctl knows 3.4 and later", r.Version)
	}
	slices.SortFunc(libraries, func(a, b Jar) int { return strings.Compare(a.Path, b.Path) })
	r.Jars = append(main, libraries...)
	return r, nil
}

// inside reports whether a link leads to something in the archive.
func inside(top, name string, h *tar.Header) bool {
	target := path.Clean(h.Linkname)
	if h.Typeflag == tar.TypeSymlink {
		if path.IsAbs(target) {
			return false
		}
		target = path.Join(path.Dir(name), target)
	}
	return target == top || strings.HasPrefix(target, top+"/")
}
