package sshkeys

import (
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PublicKey is a user's or a host's public key.
type PublicKey struct {
	key     ssh.PublicKey
	comment string
}

// ParsePublicKey reads a line of a .pub file.
func ParsePublicKey(line string) (PublicKey, error) {
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	if len(options) > 0 {
		return PublicKey{}, fmt.Errorf("public key: unexpected options")
	}
	return PublicKey{key: key, comment: strings.TrimSpace(comment)}, nil
}

// Type is the key's type, such as "ssh-ed25519".
func (k PublicKey) Type() string { return k.key.Type() }

// Comment is what stands after the key.
func (k PublicKey) Comment() string { return k.comment }

// Fingerprint is the key's SHA-256 as ssh-keygen -l shows it: "SHA256:…".
func (k PublicKey) Fingerprint() string { return ssh.FingerprintSHA256(k.key) }

// Same reports whether both are the same key, whatever their comments.
func (k PublicKey) Same(o PublicKey) bool { return k.blob() == o.blob() }

// Is reports whether an SSH library's key is this one, or a certificate of it.
func (k PublicKey) Is(key ssh.PublicKey) bool {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return key != nil && string(key.Marshal()) == k.blob()
}

// Line is the key in the form of a .pub file, without newline.
func (k PublicKey) Line() string {
	line := k.text()
	if k.comment != "" {
		line += " " + k.comment
	}
	return line
}

// text is type and key without the comment.
func (k PublicKey) text() string {
	return k.key.Type() + " " + base64.StdEncoding.EncodeToString(k.key.Marshal())
}

func (k PublicKey) blob() string { return string(k.key.Marshal()) }
