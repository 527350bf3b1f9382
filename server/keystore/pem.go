package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// pemKeys reads the one private key of a PEM file and its chain. Unlike Apache ZooKeeper it takes keys that are not
// wrapped in PKCS #8, too.
func pemKeys(data []byte, password string) ([]tls.Certificate, error) {
	var key any
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		var err error
		if key, err = pemKey(block, password); err != nil {
			return nil, err
		}
		break
	}
	if key == nil {
		return nil, ErrNoKey
	}
	certificates, err := pemCertificates(data)
	if err != nil {
		return nil, err
	}
	paired, err := pair(key, certificates)
	if err != nil {
		return nil, err
	}
	return []tls.Certificate{paired}, nil
}

func pemKey(block *pem.Block, password string) (any, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted in a form that nobody should use any more: " +
			"convert it with openssl pkcs8 -topk8 -v2 aes256")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		if password == "" {
			return nil, errors.New("the private key is encrypted, but there is no password")
		}
		plain, err := decryptPKCS8(block.Bytes, password)
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS8PrivateKey(plain)
		if err != nil {
			return nil, ErrPassword // of 256 wrong ones, one leaves a valid padding
		}
		return key, nil
	}
	return x509.ParsePKCS8PrivateKey(block.Bytes)
}

// pemCertificates reads all certificates of a PEM file.
func pemCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certificates, nil
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, c)
	}
}
