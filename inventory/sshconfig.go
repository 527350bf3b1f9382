package inventory

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// Jump is one jump host on the way to a host, with its own settings resolved.
type Jump struct {
	// Name is user@address:port, for messages.
	Name    string
	Address string
	SSH     SSH
}

// sshConfigs are the ssh_config files of one inventory, each read once.
type sshConfigs struct {
	files map[string]*ssh_config.Config
	notes []string // on what was left out of them
}

// defaultSSHConfig is read where the inventory names no other, as ssh does. What is wrong in it is no fault of the
// inventory: it is a warning.
const defaultSSHConfig = "~/.ssh/config"

// open reads a file; nil where there is none to be read.
func (c *sshConfigs) open(file string) (*ssh_config.Config, error) {
	if cfg, ok := c.files[file]; ok {
		return cfg, nil
	}
	if c.files == nil {
		c.files = map[string]*ssh_config.Config{}
	}
	c.files[file] = nil
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text, unknown := plainMatches(text)
	for _, what := range unknown {
		c.notes = append(c.notes, fmt.Sprintf("%s:%s: is not known here: what follows it is left out", file, what))
	}
	cfg, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "ssh_config: "))
	}
	c.files[file] = cfg
	return cfg, nil
}

// plainMatches writes the Match lines of an ssh_config as Host lines: those that mean the same, so that the library
// understands them, and all others as ones that no host fits, so that the rest of the file counts. unknown are these, with
// the numbers of their lines.
func plainMatches(text []byte) (plain []byte, unknown []string) {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		rule, _, _ := strings.Cut(line, " #")
		words := strings.Fields(rule)
		if len(words) < 2 || !strings.EqualFold(words[0], "Match") {
			plain = append(plain, line...)
			continue
		}
		for len(words) > 2 && (strings.EqualFold(words[1], "final") || strings.EqualFold(words[1], "canonical")) {
			words = slices.Delete(words, 1, 2)
		}
		hosts := "!*"
		switch word := strings.ToLower(words[1]); {
		case word == "all" && len(words) == 2:
			hosts = "*"
		case (word == "host" || word == "originalhost") && len(words) == 3:
			hosts = strings.ReplaceAll(strings.Trim(words[2], `"`), ",", " ")
		default:
			unknown = append(unknown, fmt.Sprintf("%d: %s", number, strings.TrimSpace(rule)))
		}
		plain = append(plain, "Host "+hosts+"\n"...)
	}
	return plain, unknown
}

// systemSSHConfig is read after the user's file, as ssh does. A test has another one.
var systemSSHConfig = "/etc/ssh/ssh_config"

// system reads that file; nil where it cannot be understood: it is nobody's here. What distributions include there is about
// algorithms, and Fedora's cannot be read by the library.
func (c *sshConfigs) system() *ssh_config.Config {
	if cfg, ok := c.files[systemSSHConfig]; ok {
		return cfg
	}
	notes := c.notes
	cfg, err := c.open(systemSSHConfig)
	c.notes = notes
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		if text, err := os.ReadFile(systemSSHConfig); err == nil {
			text, _ = plainMatches(includes.ReplaceAll(text, nil))
			if cfg, err = ssh_config.DecodeBytes(text); err != nil {
				cfg = nil
			}
			c.files[systemSSHConfig] = cfg
		}
	}
	return cfg
}

var includes = regexp.MustCompile(`(?im)^[ \t]*include[ \t=].*$`)

// read reads the ssh_configs of a host, the one that counts more first.
func (c *sshConfigs) read(s SSH) (configs []*ssh_config.Config, err error) {
	add := func(cfg *ssh_config.Config) {
		if cfg != nil {
			configs = append(configs, cfg)
		}
	}
	switch s.Config {
	case "none":
		return nil, nil
	case "":
		cfg, err := c.open(filepath.Join(homeDir(), defaultSSHConfig[2:]))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		add(cfg)
		add(c.system())
		return configs, err
	}
	cfg, err := c.open(s.Config)
	add(cfg)
	return configs, err
}

// lookup answers for one host of an ssh_config, with tokens and ~ resolved; see ssh_config(5).
type lookup struct {
	files  []*ssh_config.Config
	alias  string // as it would be given to ssh
	tokens *strings.Replacer
}

func (l lookup) one(key string) string {
	for _, cfg := range l.files {
		if v, err := cfg.Get(l.alias, key); err == nil && v != "" {
			return l.resolve(v)
		}
	}
	return ""
}

func (l lookup) is(key, word string) bool { return strings.EqualFold(l.one(key), word) }

func (l lookup) all(key string) []string {
	var values, out []string
	for _, cfg := range l.files {
		if some, err := cfg.GetAll(l.alias, key); err == nil {
			values = append(values, some...)
		}
	}
	for _, v := range values {
		if v = l.resolve(environment(v)); !strings.EqualFold(v, "none") && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (l lookup) resolve(v string) string {
	if l.tokens != nil {
		v = l.tokens.Replace(v)
	}
	if rest, ok := strings.CutPrefix(v, "~/"); ok {
		return filepath.Join(homeDir(), rest)
	}
	return v
}

// quoted finds the words of a value, those in quotes as one.
var quoted = regexp.MustCompile(`"[^"]*"|[^\s"]+`)

var variable = regexp.MustCompile(`\$\{\w+\}`)

// environment puts the environment's values for ${NAME}, as ssh does in names of files.
func environment(v string) string {
	return variable.ReplaceAllStringFunc(v, func(name string) string { return os.Getenv(name[2 : len(name)-1]) })
}

func homeDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return home
}

// tokensFor are the tokens of ssh_config(5) that mean something before the connection is made.
func tokensFor(alias, host, user string, port int) *strings.Replacer {
	name, _ := os.Hostname()
	short, _, _ := strings.Cut(name, ".")
	return strings.NewReplacer("%%", "%", "%h", host, "%n", alias, "%p", strconv.Itoa(port), "%r", user,
		"%d", homeDir(), "%u", currentUser(), "%l", name, "%L", short)
}

// complete fills in what the inventory does not say about the way to a host: from ssh_config, then from the defaults. It
// returns the address to dial.
func (c *sshConfigs) complete(s *SSH, alias string) (address string, err error) {
	l := lookup{alias: alias, tokens: strings.NewReplacer("%h", alias, "%n", alias, "%%", "%")}
	l.files, err = c.read(*s)
	address = alias
	if name := l.one("HostName"); name != "" {
		address = name
	}
	if s.User == "" {
		s.User = l.one("User")
	}
	if s.User == "" {
		s.User = currentUser()
	}
	if s.Port == 0 {
		s.Port, _ = strconv.Atoi(l.one("Port"))
	}
	if s.Port < 1 || s.Port > 65535 {
		s.Port = 22
	}
	l.tokens = tokensFor(alias, address, s.User, s.Port)
	if s.IdentityFiles == nil {
		s.IdentityFiles = l.all("IdentityFile")
		s.IdentitiesOnly = s.IdentitiesOnly || l.is("IdentitiesOnly", "yes")
	}
	if s.Certificates == nil {
		s.Certificates = l.all("CertificateFile")
	}
	if s.KnownHosts == nil { // and stays nil if ssh_config names none, so that a jump host has those of its host
		for _, file := range quoted.FindAllString(environment(l.one("UserKnownHostsFile")), -1) {
			file = strings.Trim(file, `"`)
			if strings.EqualFold(file, "none") {
				file = os.DevNull
			}
			s.KnownHosts = append(s.KnownHosts, l.resolve(file))
		}
	}
	if s.HostKeyPolicy == "" {
		s.HostKeyPolicy = map[string]string{"yes": "strict", "ask": "ask", "no": "off", "off": "off"}[strings.ToLower(l.one("StrictHostKeyChecking"))]
	}
	if s.HostKeyPolicy == "" {
		s.HostKeyPolicy = "accept-new"
	}
	s.HostKeyAlias = l.one("HostKeyAlias")
	switch agent := l.one("IdentityAgent"); {
	case strings.EqualFold(agent, "none"):
		s.Agent = false
	case agent != "" && agent != "SSH_AUTH_SOCK":
		s.AgentSocket = os.ExpandEnv(agent)
	}
	if s.Jump == nil && s.ProxyCommand == "" {
		if jump := l.one("ProxyJump"); jump != "" && !strings.EqualFold(jump, "none") {
			s.Jump = strings.Split(jump, ",")
			s.jumpsOfSSH = true
		} else if command := l.one("ProxyCommand"); jump == "" && !strings.EqualFold(command, "none") {
			s.ProxyCommand = command
		}
	}
	return address, err
}

// jumps resolves the chain of jump hosts of a host. A jump host named in the inventory is logged in to by the same user
// unless it says another; one from ssh_config by what ssh_config says, as ssh does. The keys are those of the host, unless
// ssh_config has others for the jump host.
func (c *sshConfigs) jumps(s SSH, depth int) ([]Jump, error) {
	const deepest = 8
	if depth > deepest {
		return nil, fmt.Errorf("more than %d jump hosts: do they lead to each other?", deepest)
	}
	var chain []Jump
	for i, spec := range s.Jump {
		user, host, port, err := parseJump(spec)
		if err != nil {
			return nil, err
		}
		hop := SSH{Config: s.Config, User: user, Port: port, Agent: s.Agent, Passphrase: s.Passphrase, Password: s.JumpPassword,
			ConnectWait: s.ConnectWait, HostKeyPolicy: s.HostKeyPolicy}
		if !s.jumpsOfSSH && user == "" {
			hop.User = c.jumpUser(s, host)
		}
		if i > 0 {
			hop.Jump = []string{} // the way to it is the jump host before
		}
		address, err := c.complete(&hop, host)
		if err != nil {
			return nil, err
		}
		if hop.IdentityFiles == nil {
			hop.IdentityFiles, hop.IdentitiesOnly = s.IdentityFiles, s.IdentitiesOnly
			hop.Certificates = append(hop.Certificates, s.Certificates...)
		}
		if hop.KnownHosts == nil {
			hop.KnownHosts = s.KnownHosts
		}
		before, err := c.jumps(hop, depth+1)
		if err != nil {
			return nil, err
		}
		chain = append(chain, before...)
		name := hop.User + "@" + host
		if hop.Port != 22 {
			name += ":" + strconv.Itoa(hop.Port)
		}
		chain = append(chain, Jump{Name: name, Address: address, SSH: hop})
	}
	return chain, nil
}

// jumpUser is the user of a jump host about which the inventory says nothing more: ssh_config's, else the host's.
func (c *sshConfigs) jumpUser(s SSH, host string) string {
	files, _ := c.read(s) // what is wrong with them was reported for the host
	if user := (lookup{files: files, alias: host}).one("User"); user != "" {
		return user
	}
	return s.User
}

// parseJump reads [user@]host[:port], as in ssh -J; an IPv6 address stands in brackets if a port follows.
func parseJump(spec string) (user, host string, port int, err error) {
	rest := strings.TrimPrefix(strings.TrimSpace(spec), "ssh://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	host = rest
	if h, p, splitErr := net.SplitHostPort(rest); splitErr == nil {
		host = h
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("jump host %q: %q is no port", spec, p)
		}
	}
	host = strings.Trim(host, "[]")
	if host == "" || strings.ContainsAny(host, " \t/'\"@") {
		return "", "", 0, fmt.Errorf("jump host %q: must be [user@]host[:port]", spec)
	}
	return user, host, port, nil
}
