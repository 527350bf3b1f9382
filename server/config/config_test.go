package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Each archive in testdata is a directory with zoo.cfg; its last file, want, is what Load makes of it: all that is wrong,
// or the warnings and the fields that differ from those of a file with nothing but dataDir and clientPort. $DIR stands
// for the directory.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		want := &archive.Files[len(archive.Files)-1]
		if want.Name != "want" {
			t.Fatalf("%s: the last file is %s", name, want.Name)
		}
		for _, f := range archive.Files[:len(archive.Files)-1] {
			text := strings.ReplaceAll(string(f.Data), "$DIR", dir)
			if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.ReplaceAll(outcome(t, filepath.Join(dir, "zoo.cfg")), dir, "$DIR")
		if *update {
			want.Data = []byte(got)
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got != string(want.Data) {
			t.Errorf("%s: got\n%swant\n%s", name, got, want.Data)
		}
	}
}

func outcome(t *testing.T, file string) string {
	t.Helper()
	c, err := Load(file)
	if err != nil {
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: a %T: %v", file, err, err)
		}
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, p := range c.Notices {
		fmt.Fprintf(&b, "warning: %v\n", p)
	}
	plain, err := Parse(file, []byte("dataDir="+filepath.Dir(file)+"\nclientPort=2181\n"))
	if err != nil {
		t.Fatal(err)
	}
	describe(&b, reflect.ValueOf(*c), reflect.ValueOf(*plain))
	if c.Distributed {
		fmt.Fprintf(&b, "voters %v\n%s\n", c.Members.Voters(), c.ConfigText())
	}
	return b.String()
}

// describe writes the fields of got that differ from those of base.
func describe(b *strings.Builder, got, base reflect.Value) {
	for i := range got.NumField() {
		f := got.Type().Field(i)
		switch {
		case !f.IsExported() || f.Name == "Notices" || f.Name == "Members" || f.Name == "Source":
		case f.Anonymous:
			describe(b, got.Field(i), base.Field(i))
		default:
			if value := got.Field(i).Interface(); !reflect.DeepEqual(value, base.Field(i).Interface()) {
				fmt.Fprintf(b, "%s: %+v\n", f.Name, value)
			}
		}
	}
}

func TestNoFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "zoo.cfg"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that says that there is no such file", err)
	}
}

// Secrets stay out of messages, whatever is wrong with them.
func TestSecretsAreHidden(t *testing.T) {
	for _, text := range []string{
		"DigestAuthenticationProvider.superDigest=super:hunter2\nDigestAuthenticationProvider.superDigest=super:hunter2\n",
		"ssl.keyStore.password=hunter2\nmetricsProvider.ssl.trustStore.password=hunter2\nssl.quorum.trustStore.password=hunter2\n",
		"zookeeper.SASLAuthenticationProvider.superPassword=hunter2\n",
		"ssl.keyStore.password=hunter2\\u00\n",
		"someones.Passwort=1\nssl.keyStore.passwrd=hunter2\n",
	} {
		c, err := Parse("zoo.cfg", []byte("dataDir=/d\nclientPort=2181\n"+text))
		message := fmt.Sprint(err)
		if c != nil {
			message += fmt.Sprint(c.Notices)
		}
		if strings.Contains(message, "hunter2") {
			t.Errorf("%q is told as %s", text, message)
		}
	}
}

func TestParseLeavesOtherFilesAlone(t *testing.T) {
	c, err := Parse("zoo.cfg", []byte("dataDir=/none\nclientPort=2181\ndynamicConfigFile=/none/zoo.cfg.dynamic\ninitLimit=5\nsyncLimit=5\n"))
	if err != nil || c.Distributed || c.ServerID != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = Parse("zoo.cfg", []byte("dataDir=/none\ninitLimit=5\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"))
	if err != nil || !c.Distributed || c.ServerID != 0 || len(c.Servers) != 3 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"tickTme": "tickTime", "ticktime": "tickTime", "tikcTime": "tickTime", "maxclientCnxns": "maxClientCnxns",
		"4lw.command.whitelist": "4lw.commands.whitelist", "custom.path": "", "x": "", "": "",
		strings.Repeat("tickTime", 1<<20): "", // takes minutes if it is compared letter by letter
	} {
		if got := nearest(word, knownNames); got != want {
			t.Errorf("%.80q is near to %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Add([]byte("dataDir=/d\\\nserver.1=[::1]:1:2:observer;[::]:3\ngroup.1=1\nweight.1=0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("zoo.cfg", text)
		var refused *Error
		switch {
		case err != nil && (!errors.As(err, &refused) || len(refused.Problems) == 0):
			t.Fatalf("refused with %#v", err)
		case err != nil:
			return
		case c.DataDir == "" || c.TickTime <= 0 || c.MinSessionTimeout > c.MaxSessionTimeout:
			t.Fatalf("accepted %+v", c)
		case !c.Distributed:
			return
		}
		// The text that votes carry is itself a membership, and the same.
		lines := string(c.ConfigText())
		again, err := Parse("again", []byte("dataDir=/d\ninitLimit=1\nsyncLimit=1\nstandaloneEnabled=false\nmultiAddress.enabled=true\n"+
			lines[:strings.LastIndex(lines, "version=")]))
		if err != nil {
			t.Fatalf("%v\n%s", err, lines)
		}
		if string(again.ConfigText()) != lines {
			t.Fatalf("read %s\nback as %s", lines, again.ConfigText())
		}
	})
}
