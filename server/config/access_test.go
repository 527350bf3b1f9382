package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/jaas"
)

// load reads a zoo.cfg with a clientPort and these lines, beside files with these texts; $DIR stands for their directory.
func load(t *testing.T, lines string, files map[string]string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	text := strings.ReplaceAll("dataDir=$DIR\nclientPort=2181\n"+lines, "$DIR", dir)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

func TestUsersOfSASL(t *testing.T) {
	for _, test := range []struct {
		lines, file, text string
		want              map[string]jaas.Secret
	}{
		{"java.security.auth.login.config=$DIR/f", "f", `Server { ` + jaas.DigestModule + ` required user_bob="b" user_super="s"; };`,
			map[string]jaas.Secret{"bob": "b", "super": "s"}},
		{"java.security.auth.login.config=$DIR/f\nSASLAuthenticationProvider.superPassword=x", "f",
			`Server { ` + jaas.DigestModule + ` required user_bob="b" user_super="s"; };`, map[string]jaas.Secret{"bob": "b", "super": "x"}},
		{"java.security.auth.login.config=file:$DIR/f\nsasl.serverconfig=S", "f", `S { ` + jaas.DigestModule + ` required; ` + jaas.DigestModule + ` optional user_eve=e; };`,
			map[string]jaas.Secret{"eve": "e"}},
		{"java.security.auth.login.config=$DIR/f", "f", `S { ` + jaas.DigestModule + ` required; };`, nil},
		{"sasl.usersFile=$DIR/f", "f", "bob:a:b \r\n#x:y\n \n:", nil},
		{"sasl.usersFile=$DIR/f", "f", "bob:a:b \r\n#x:y\n \neve:", map[string]jaas.Secret{"bob": "a:b ", "eve": ""}},
		{"sasl.usersFile=$DIR/f", "f", "", map[string]jaas.Secret{}},
	} {
		c, err := load(t, test.lines, map[string]string{test.file: test.text})
		if err != nil {
			if test.want != nil {
				t.Errorf("%s: %v", test.text, err)
			}
			continue
		}
		if !maps.Equal(c.SASLUsers, test.want) || (c.SASLUsers == nil) != (test.want == nil) {
			t.Errorf("%s: got %d users, want %d, or others", test.text, len(c.SASLUsers), len(test.want))
		}
	}
}

// FuzzUsers looks for secrets in messages.
func FuzzUsers(f *testing.F) {
	f.Add([]byte("bob:b\n# x\n\neve:a:b\r\n"))
	f.Add([]byte("bob:b\nbob:b\nx\n:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		text = append(text, "\nsomebody:hunter2\nsomebody:hunter2\nhunter2"...)
		users, problems := parseUsers("users", text)
		if len(problems) < 2 {
			t.Fatalf("%q has the problems %v", text, problems)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "hunter2") && strings.Count(string(text), "hunter2") == 3 {
				t.Fatalf("%q is told as %v", text, p)
			}
		}
		for name := range users {
			if name == "" || strings.ContainsAny(name, ":\n") || fmt.Sprint(users[name]) != "(hidden)" {
				t.Fatalf("%q has the user %q", text, name)
			}
		}
	})
}
