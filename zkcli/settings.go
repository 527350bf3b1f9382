package zkcli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/server/jaas"
	"github.com/zkctl/zkctl/server/properties"
	"github.com/zkctl/zkctl/server/sasl"
)

// settings are the properties of clients by name (org.apache.zookeeper.client.ZKClientConfig). Some are secrets.
type settings map[string]string

// loadSettings takes -Dname=value from the variables that Apache ZooKeeper's zkCli.sh passes on to its JVM, and then the
// properties of a file, if one is given.
func loadSettings(file string) (settings, error) {
	s := settings{}
	for _, word := range strings.Fields(os.Getenv("CLIENT_JVMFLAGS") + " " + os.Getenv("JVMFLAGS")) {
		if text, ok := strings.CutPrefix(word, "-D"); ok {
			name, value, _ := strings.Cut(text, "=")
			s[name] = value
		}
	}
	if file == "" {
		return s, nil
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	refused := func(why string) error {
		return failure(fmt.Sprintf("Error while processing %s\nCaused by: %s", absolute, why))
	}
	data, err := os.ReadFile(absolute)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refused(absolute + " file is missing")
	case err != nil:
		return nil, refused(err.Error())
	}
	list, bad := properties.ReadFile(data)
	if len(bad) > 0 {
		return nil, refused(fmt.Sprintf("line %d: %v", bad[0].Line, bad[0].Err))
	}
	for _, p := range list {
		s[p.Key] = p.Value
	}
	return s, nil
}

// apply changes what a session does as the settings say. What goes wrong later is told of at complaints.
func (s settings) apply(o *client.Options, complaints io.Writer) error {
	if text, ok := s["jute.maxbuffer"]; ok {
		n, err := parseIndex(text)
		if err != nil {
			return fmt.Errorf("jute.maxbuffer: %w", err)
		}
		o.MaxReplyBytes = n
	}
	var err error
	if o.Dial, err = s.dialer(complaints); err != nil {
		return err
	}
	o.SASL, err = s.sasl()
	return err
}

// sasl looks up who we are in the login configuration, if there is one.
func (s settings) sasl() (func() client.SASL, error) {
	file := s["java.security.auth.login.config"]
	if file == "" || !s.is("zookeeper.sasl.client", true) {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("login configuration: %w", err)
	}
	sections, err := jaas.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("login configuration %s: %w", file, err)
	}
	name := "Client"
	if other, ok := s["zookeeper.sasl.clientconfig"]; ok {
		name = other
	}
	section, ok := sections[name]
	if !ok {
		return nil, fmt.Errorf("login configuration %s has no section %s", file, name)
	}
	for _, m := range section.Modules {
		if m.Class == jaas.DigestModule {
			user, password := string(m.Options["username"]), string(m.Options["password"])
			return func() client.SASL {
				return &digest{sasl.NewClient("zookeeper", "zk-sasl-md5", user, password, rand.Text())}
			}, nil
		}
	}
	return nil, fmt.Errorf("login configuration %s: section %s has no %s, and nothing else is supported", file, name, jaas.DigestModule)
}

// digest is DIGEST-MD5 as Java clients of ZooKeeper speak it.
type digest struct{ *sasl.Client }

// Step opens the exchange with an empty token.
func (d *digest) Step(challenge []byte) (answer []byte, done bool, err error) {
	if len(challenge) == 0 {
		return []byte{}, false, nil
	}
	answer, err = d.Respond(challenge)
	return answer, d.Done(), err
}
