package ensemble

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ApacheArchive writes a binary release of Apache ZooKeeper, in the layout of those of the foundation since 3.5.5, made of
// the jars that Debian's packages have installed here, and returns its path. Its log goes through log4j.
func ApacheArchive(dir string) (string, error) {
	if err := HaveApache(); err != nil {
		return "", err
	}
	const java = "/usr/share/java/"
	jars, err := manifestClassPath(java + "zookeeper.jar")
	if err != nil {
		return "", err
	}
	jars = append(jars, java+"slf4j-log4j12.jar", java+"log4j-1.2.jar")
	jars = append(jars, filepath.SplitList(NettyJars+":"+servletJar)...)
	const top = "apache-zookeeper-3.8.0-debian"
	file := filepath.Join(dir, top+".tar.gz")
	out, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer out.Close()
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return "", err
	}
	w := tar.NewWriter(packed)
	add := func(name, from string) error {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: top + "/" + name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	if err := add("lib/zookeeper-3.8.0.jar", java+"zookeeper.jar"); err != nil {
		return "", err
	}
	for _, jar := range jars {
		// Annotations and the like are in the manifest, and on a disk not always.
		if err := add("lib/"+filepath.Base(jar), jar); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return file, errors.Join(w.Close(), packed.Close(), out.Close())
}

// manifestClassPath is what a jar's manifest names as its class path.
func manifestClassPath(jar string) ([]string, error) {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	manifest, err := archive.Open("META-INF/MANIFEST.MF")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", jar, err)
	}
	text, err := io.ReadAll(manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", jar, err)
	}
	// Long lines go on in the next one, behind a blank.
	unfolded := strings.NewReplacer("\r\n ", "", "\n ", "").Replace(string(text))
	for line := range strings.Lines(unfolded) {
		if list, ok := strings.CutPrefix(line, "Class-Path:"); ok {
			return strings.Fields(list), nil
		}
	}
	return nil, fmt.Errorf("%s names no class path", jar)
}
