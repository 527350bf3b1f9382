package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxAttempts is how many attempts to log in a server bears by default (MaxAuthTries).
// Of the agent's keys no more are offered than leave room for a password, which
// may be wanted in two ways.
const (
	maxAttempts  = 6
	maxAgentKeys = 4
)

// login holds the ways to log in to one host and what came of them.
type login struct {
	signers    []ssh.Signer
	password   func() (string, error)
	ask        func(question string) (string, error)
	passphrase func(file string) ([]byte, error)
	offered    []string      // for the error: what was there to be tried
	skipped    []string      // identity files that could not be used, with the reason
	failure    error         // a callback's error, which x/crypto/ssh would bury
	typing     time.Duration // spent in callbacks: somebody may have been asked
	signed     ssh.PublicKey // the last key that signed: the one that let us in, if a key did
	agentConn  net.Conn
}

// newLogin collects identity files and agent keys. Files come first, in their
// order; a key that the agent holds too is used through the agent, so that no
// passphrase is needed and the file may be the public half alone.
func newLogin(cfg *SSHConfig) *login {
	l := &login{}
	if cfg.Password != nil {
		l.password = func() (string, error) { defer l.timed(time.Now()); return cfg.Password() }
	}
	if cfg.Ask != nil {
		l.ask = func(question string) (string, error) { defer l.timed(time.Now()); return cfg.Ask(question) }
	}
	if cfg.Passphrase != nil {
		l.passphrase = func(file string) ([]byte, error) { defer l.timed(time.Now()); return cfg.Passphrase(file) }
	}
	var fromAgent []ssh.Signer
	if cfg.AgentSocket != "" {
		conn, err := net.Dial("unix", cfg.AgentSocket)
		if err == nil {
			fromAgent, err = agent.NewClient(conn).Signers()
			l.agentConn = conn
		}
		if err != nil {
			l.skip("agent: %v", err)
		}
	}
	files, explicit := cfg.IdentityFiles, true
	if len(files) == 0 {
		files, explicit = defaultIdentityFiles(), false
	}
	certificates := l.readCertificates(cfg.CertificateFiles)
	used := make(map[string]bool)
	offer := func(s ssh.Signer) {
		if blob := string(s.PublicKey().Marshal()); !used[blob] {
			used[blob] = true
			l.signers = append(l.signers, l.noting(s))
		}
	}
	for _, file := range files {
		signer, err := l.readIdentity(file, fromAgent)
		if err != nil {
			if explicit || !errors.Is(err, os.ErrNotExist) {
				l.skip("%v", err)
			}
			continue
		}
		beside := file + "-cert.pub"
		if _, err := os.Stat(beside); err == nil {
			certificates = append(certificates, l.readCertificates([]string{beside})...)
		}
		for _, cert := range certificates {
			if sameKey(cert.Key, signer.PublicKey()) {
				if s, err := ssh.NewCertSigner(cert, signer); err == nil {
					offer(s)
				}
			}
		}
		offer(signer)
		l.offered = append(l.offered, "key "+file)
	}
	room := maxAttempts - len(l.signers)
	if l.password != nil {
		room -= 2
	}
	count := 0
	for _, s := range fromAgent {
		if !cfg.IdentitiesOnly && !used[string(s.PublicKey().Marshal())] && count < min(room, maxAgentKeys) {
			offer(s)
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

// timed adds the time of one callback.
func (l *login) timed(began time.Time) { l.typing += time.Since(began) }

func (l *login) skip(format string, args ...any) {
	l.skipped = append(l.skipped, fmt.Sprintf(format, args...))
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
	given := false
	return append(m, ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i, question := range questions {
			question = strings.TrimSpace(question)
			lower := strings.ToLower(question)
			var err error
			switch {
			case strings.Contains(lower, "new password"), strings.Contains(lower, "new unix password"), strings.Contains(lower, "(current)"):
				err = errors.New("the host demands a new password: log in once by hand and change it")
			case !echos[i] && !given && (strings.Contains(lower, "password") || l.ask == nil):
				given = true
				answers[i], err = ask()
			case l.ask != nil:
				answers[i], err = l.ask(question)
			default:
				err = fmt.Errorf("the host asks %q, which the password does not answer", question)
			}
			if err != nil {
				l.failure = err
				return nil, err
			}
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

// readIdentity returns the key of a file: through the agent, if that holds it; else
// from the file. One with a passphrase is decrypted only when the host accepts its
// public half.
func (l *login) readIdentity(file string, agent []ssh.Signer) (ssh.Signer, error) {
	pem, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	public, _, _, _, notPublic := ssh.ParseAuthorizedKey(pem)
	if notPublic != nil {
		public = publicBeside(file)
	}
	if public != nil {
		for _, s := range agent {
			if sameKey(s.PublicKey(), public) {
				return s, nil
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if notPublic == nil {
		return nil, fmt.Errorf("%s: a public key, of which the agent does not hold the private half", file)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var missing *ssh.PassphraseMissingError
	if !errors.As(err, &missing) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return signer, nil
	}
	if missing.PublicKey != nil {
		public = missing.PublicKey
	}
	if public == nil {
		return nil, fmt.Errorf("%s: encrypted, and no %s.pub beside it", file, file)
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

// CheckPassphrase tells whether the passphrase opens the private key in the file.
func CheckPassphrase(file string, phrase []byte) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := ssh.ParsePrivateKeyWithPassphrase(pem, phrase); err != nil {
		return fmt.Errorf("%s: wrong passphrase", file)
	}
	return nil
}

// publicBeside reads the public half that ssh-keygen puts beside a private key; nil
// if there is none.
func publicBeside(file string) ssh.PublicKey {
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key
}

// readCertificates reads user certificates. One that is of no use now is left out,
// and the error of a refused login says why.
func (l *login) readCertificates(files []string) []*ssh.Certificate {
	var certs []*ssh.Certificate
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			l.skip("%v", err)
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(text)
		cert, ok := key.(*ssh.Certificate)
		now := uint64(time.Now().Unix())
		switch {
		case err != nil || !ok || cert.CertType != ssh.UserCert:
			l.skip("%s: not a user certificate", file)
		case cert.ValidBefore != ssh.CertTimeInfinity && now >= cert.ValidBefore:
			l.skip("%s: expired on %s", file, time.Unix(int64(cert.ValidBefore), 0).UTC().Format("2006-01-02 15:04 MST"))
		case now < cert.ValidAfter:
			l.skip("%s: not valid before %s", file, time.Unix(int64(cert.ValidAfter), 0).UTC().Format("2006-01-02 15:04 MST"))
		default:
			certs = append(certs, cert)
		}
	}
	return certs
}

// noting returns a signer that leaves word of its use.
func (l *login) noting(s ssh.Signer) ssh.Signer {
	n := notedSigner{s, func() { l.signed = s.PublicKey() }}
	if a, ok := s.(ssh.AlgorithmSigner); ok {
		return notedAlgorithmSigner{n, a}
	}
	return n
}

type notedSigner struct {
	ssh.Signer
	note func()
}

func (s notedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s.note()
	return s.Signer.Sign(rand, data)
}

type notedAlgorithmSigner struct {
	notedSigner
	algorithm ssh.AlgorithmSigner
}

func (s notedAlgorithmSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.note()
	return s.algorithm.SignWithAlgorithm(rand, data, algorithm)
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
