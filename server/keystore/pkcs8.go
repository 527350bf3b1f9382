package keystore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxIterations is far above what any tool writes, and a few seconds of work.
const maxIterations = 10_000_000

// encryptedPKCS8 is EncryptedPrivateKeyInfo of RFC 5958.
type encryptedPKCS8 struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 and pbkdf2Params are those of RFC 8018, appendix A.
type pbes2 struct {
	Derivation, Encryption pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyBytes   int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// blockCipher is one of those that encrypt in the mode CBC.
type blockCipher struct {
	keyBytes int
	create   func(key []byte) (cipher.Block, error)
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	pseudoRandom = map[string]func() hash.Hash{
		"":                    sha1.New,
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	blockCiphers = map[string]blockCipher{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

// decryptPKCS8 decrypts a private key in the form of PKCS #5 version 2, which is what openssl pkcs8 writes.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var info encryptedPKCS8
	if err := unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("encrypted private key: %w", err)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("the private key is encrypted with algorithm %v: convert it with openssl pkcs8 -topk8 -v2 aes256",
			info.Algorithm.Algorithm)
	}
	var scheme pbes2
	if err := unmarshal(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, fmt.Errorf("encrypted private key: %w", err)
	}
	with, ok := blockCiphers[scheme.Encryption.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("the private key is encrypted with cipher %v: convert it with openssl pkcs8 -topk8 -v2 aes256",
			scheme.Encryption.Algorithm)
	}
	key, err := deriveKey(scheme.Derivation, password, with.keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := with.create(key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if err := unmarshal(scheme.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, fmt.Errorf("encrypted private key: %w", err)
	}
	size := block.BlockSize()
	if len(iv) != size || len(info.Data) == 0 || len(info.Data)%size != 0 {
		return nil, errors.New("encrypted private key: lengths do not fit")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > size || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, ErrPassword
	}
	return plain[:len(plain)-padding], nil
}

func deriveKey(from pkix.AlgorithmIdentifier, password string, keyBytes int) ([]byte, error) {
	if !from.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("the key is derived from the password by algorithm %v: convert it with openssl pkcs8 -topk8 -v2 aes256",
			from.Algorithm)
	}
	var params pbkdf2Params
	if err := unmarshal(from.Parameters.FullBytes, &params); err != nil {
		return nil, fmt.Errorf("encrypted private key: %w", err)
	}
	prf := pseudoRandom[params.PRF.Algorithm.String()]
	if prf == nil || params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, fmt.Errorf("encrypted private key: %d iterations of %v", params.Iterations, params.PRF.Algorithm)
	}
	return pbkdf2.Key(prf, password, params.Salt, params.Iterations, keyBytes)
}

// unmarshal is asn1.Unmarshal with nothing behind.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("there is more behind its end")
	}
	return err
}
