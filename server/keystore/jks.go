package keystore

import (
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
)

// The format of sun.security.provider.JavaKeyStore, numbers with the high byte first:
//
//	int 0xfeedfeed | int version 1 or 2 | int count | entries | 20 bytes SHA-1(password, "Mighty Aphrodite", all before)
//	entry:       int 1 or 2 | string alias | long time | of a key (1): bytes protected key, int count, certificates
//	             of a trusted certificate (2): certificate
//	certificate: in version 2 string type | bytes DER
//	string:      short length | UTF-8         bytes: int length | them
const (
	jksMagic   = 0xfeedfeed
	jksKey     = 1
	jksTrust   = 2
	jksWhitens = "Mighty Aphrodite"
)

// oidJavaProtection is how JavaKeyStore protects keys (sun.security.provider.KeyProtector).
var oidJavaProtection = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 17, 1, 1}

// isJKS tells the format by its first bytes: Java, too, takes PKCS #12 where JKS was said, and the other way round.
func isJKS(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) == jksMagic
}

// jksEntry is one entry: a protected key with its chain, or a trusted certificate.
type jksEntry struct {
	key          bool
	protected    []byte
	certificates [][]byte
}

func jksKeys(data []byte, password string) ([]tls.Certificate, error) {
	entries, err := jksEntries(data, password)
	if err != nil {
		return nil, err
	}
	var keys []tls.Certificate
	for _, e := range entries {
		if !e.key {
			continue
		}
		plain, err := unprotect(e.protected, password)
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS8PrivateKey(plain)
		if err != nil {
			return nil, err
		}
		certificates, err := parse(e.certificates)
		if err != nil {
			return nil, err
		}
		paired, err := pair(key, certificates)
		if err != nil {
			return nil, err
		}
		keys = append(keys, paired)
	}
	return keys, nil
}

func jksTrusted(data []byte, password string) ([]*x509.Certificate, error) {
	entries, err := jksEntries(data, password)
	if err != nil {
		return nil, err
	}
	var trusted [][]byte
	for _, e := range entries {
		if !e.key {
			trusted = append(trusted, e.certificates...)
		}
	}
	return parse(trusted)
}

func parse(ders [][]byte) ([]*x509.Certificate, error) {
	certificates := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		var err error
		if certificates[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
	}
	return certificates, nil
}

// jksEntries checks the digest, which also tells whether the password is right, and reads what it covers.
func jksEntries(data []byte, password string) ([]jksEntry, error) {
	body := data[:max(len(data)-sha1.Size, 0)]
	digest := sha1.New()
	digest.Write(utf16BE(password))
	digest.Write([]byte(jksWhitens))
	digest.Write(body)
	if subtle.ConstantTimeCompare(digest.Sum(nil), data[len(body):]) != 1 {
		return nil, ErrPassword
	}
	return jksBody(body)
}

// jksBody reads a store without its digest.
func jksBody(body []byte) ([]jksEntry, error) {
	r := jksReader{rest: body}
	r.int()
	version := r.int()
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("a JKS store of version %d", version)
	}
	var entries []jksEntry
	for n := r.int(); n > 0 && !r.short; n-- {
		var e jksEntry
		kind := r.int()
		r.string()
		r.take(8)
		certificates := uint32(1)
		switch kind {
		case jksKey:
			e.key, e.protected = true, r.bytes()
			certificates = r.int()
		case jksTrust:
		default:
			return nil, fmt.Errorf("a JKS store with an entry of kind %d", kind)
		}
		for ; certificates > 0 && !r.short; certificates-- {
			if version == 2 {
				r.string()
			}
			e.certificates = append(e.certificates, r.bytes())
		}
		entries = append(entries, e)
	}
	if r.short || len(r.rest) > 0 {
		return nil, errors.New("a JKS store whose entries do not fit its length")
	}
	return entries, nil
}

// jksReader reads the fields of a store. After one that was too long all are empty and short is set.
type jksReader struct {
	rest  []byte
	short bool
}

func (r *jksReader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.rest, r.short = nil, true
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *jksReader) int() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *jksReader) bytes() []byte { return r.take(r.int()) }

func (r *jksReader) string() {
	if b := r.take(2); b != nil {
		r.take(uint32(binary.BigEndian.Uint16(b)))
	}
}

// unprotect recovers a private key: the key XOR a stream of SHA-1 digests, between a salt and a digest of key and
// password.
func unprotect(protected []byte, password string) ([]byte, error) {
	var info encryptedPKCS8
	if err := unmarshal(protected, &info); err != nil {
		return nil, fmt.Errorf("protected private key: %w", err)
	}
	if !info.Algorithm.Algorithm.Equal(oidJavaProtection) || len(info.Data) < 2*sha1.Size {
		return nil, fmt.Errorf("a private key is protected with algorithm %v: convert the store with keytool -importkeystore -deststoretype PKCS12",
			info.Algorithm.Algorithm)
	}
	secret := utf16BE(password)
	block, key := info.Data[:sha1.Size], slices.Clone(info.Data[sha1.Size:len(info.Data)-sha1.Size])
	for i := range key {
		if i%sha1.Size == 0 {
			sum := sha1.Sum(slices.Concat(secret, block))
			block = sum[:]
		}
		key[i] ^= block[i%sha1.Size]
	}
	sum := sha1.Sum(slices.Concat(secret, key))
	if subtle.ConstantTimeCompare(sum[:], info.Data[len(info.Data)-sha1.Size:]) != 1 {
		return nil, fmt.Errorf("a private key has another password than the store: %w", ErrPassword)
	}
	return key, nil
}

// utf16BE is a password as Java has it in memory.
func utf16BE(password string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(password)) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return b
}
