package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxAgentKeys is how many of the agent's keys are offered beside the identity
// files: a server disconnects after six attempts by default (MaxAuthTries).
const maxAgentKeys = 4

// login holds the ways to log in to one host and what came of them.
type login struct {
	signers    []ssh.Signer
	password   func() (string, error)
	passphrase func(file string) ([]byte, error)
	offered    []string // for the error: what was there to be tried
	skipped    []string // identity files that could not be used, with the reason
	failure    error    // a callback's error, which x/crypto/ssh would bury
	agentConn  net.Conn
}

// newLogin collects identity files and agent keys. Files come first, in their
// order; a key that the agent holds too is used through the agent, so that no
// passphrase is needed.
func newLogin(cfg *SSHConfig) *login {
	l := &login{password: cfg.Password, passphrase: cfg.Passphrase}
	var fromAgent []ssh.Signer
	if cfg.AgentSocket != "" {
		conn, err := net.Dial("unix", cfg.AgentSocket)
		if err == nil {
			fromAgent, err = agent.NewClient(conn).Signers()
			l.agentConn = conn
		}
		if err != nil {
			l.skipped = append(l.skipped, fmt.Sprintf("agent: %v", err))
		}
	}
	held := func(key ssh.PublicKey) ssh.Signer {
		for _, s := range fromAgent {
			if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
				return s
			}
		}
		return nil
	}
	files, explicit := cfg.IdentityFiles, true
	if len(files) == 0 {
		files, explicit = defaultIdentityFiles(), false
	}
	used := make(map[string]bool)
	for _, file := range files {
		signer, err := l.readIdentity(file)
		if err != nil {
			if explicit || !errors.Is(err, os.ErrNotExist) {
				l.skipped = append(l.skipped, err.Error())
			}
			continue
		}
		if s := held(signer.PublicKey()); s != nil {
			signer = s
		}
		used[string(signer.PublicKey().Marshal())] = true
		if cert := readCertificate(file, signer); cert != nil {
			l.signers = append(l.signers, cert)
		}
		l.signers = append(l.signers, signer)
		l.offered = append(l.offered, "key "+file)
	}
	count := 0
	for _, s := range fromAgent {
		if !used[string(s.PublicKey().Marshal())] && count < maxAgentKeys {
			l.signers = append(l.signers, s)
			count++
		}
	}
	if count > 0 {
		l.offered = append(l.offered, fmt.Sprintf("%d agent keys", count))
	}
	if l.password != nil {
		l.offered = append(l.offered, "password")
	}
	return l
}

func (l *login) close() {
	if l.agentConn != nil {
		l.agentConn.Close()
	}
}

// methods are the ways to log in, keys first. The password serves both the
// password method and keyboard-interactive, since many servers allow only one.
func (l *login) methods() []ssh.AuthMethod {
	var m []ssh.AuthMethod
	if len(l.signers) > 0 {
		m = append(m, ssh.PublicKeys(l.signers...))
	}
	if l.password == nil {
		return m
	}
	ask := sync.OnceValues(func() (string, error) {
		p, err := l.password()
		if err != nil {
			l.failure = err
		}
		return p, err
	})
	m = append(m, ssh.PasswordCallback(ask))
	return append(m, ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range questions {
			if echos[i] {
				l.failure = fmt.Errorf("the host asks %q, which the password does not answer", strings.TrimSpace(questions[i]))
				return nil, l.failure
			}
			if strings.Contains(strings.ToLower(questions[i]), "new password") {
				l.failure = errors.New("the host demands a new password")
				return nil, l.failure
			}
			p, err := ask()
			if err != nil {
				return nil, err
			}
			answers[i] = p
		}
		return answers, nil
	}))
}

func defaultIdentityFiles() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		files = append(files, filepath.Join(home, ".ssh", name))
	}
	return files
}

// readIdentity reads a private key. One with a passphrase is decrypted only
// when the host accepts its public half.
func (l *login) readIdentity(file string) (ssh.Signer, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var missing *ssh.PassphraseMissingError
	if !errors.As(err, &missing) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return signer, nil
	}
	public := missing.PublicKey
	if public == nil {
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil, fmt.Errorf("%s: encrypted, and no %s.pub beside it: %w", file, file, err)
		}
		if public, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
			return nil, fmt.Errorf("%s.pub: %w", file, err)
		}
	}
	decrypt := sync.OnceValues(func() (ssh.Signer, error) {
		if l.passphrase == nil {
			return nil, fmt.Errorf("%s: encrypted with a passphrase, and nobody to ask for it", file)
		}
		phrase, err := l.passphrase(file)
		if err != nil {
			return nil, err
		}
		s, err := ssh.ParsePrivateKeyWithPassphrase(pem, phrase)
		if err != nil {
			return nil, fmt.Errorf("%s: wrong passphrase", file)
		}
		return s, nil
	})
	return &lazySigner{public: public, decrypt: decrypt, failure: &l.failure}, nil
}

func readCertificate(file string, signer ssh.Signer) ssh.Signer {
	text, err := os.ReadFile(file + "-cert.pub")
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil
	}
	s, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil
	}
	return s
}

// lazySigner decrypts its key at the first signature.
type lazySigner struct {
	public  ssh.PublicKey
	decrypt func() (ssh.Signer, error)
	failure *error
}

func (s *lazySigner) PublicKey() ssh.PublicKey { return s.public }

func (s *lazySigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s *lazySigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := s.decrypt()
	if err != nil {
		*s.failure = err
		return nil, err
	}
	if a, ok := signer.(ssh.AlgorithmSigner); ok {
		return a.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}
