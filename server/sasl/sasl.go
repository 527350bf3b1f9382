// Package sasl speaks DIGEST-MD5 (RFC 2831), the mechanism with which ZooKeeper's clients and servers prove that they
// know a password, in the form that Java gives it: one realm, which is the name of the server, authentication without
// protection of what follows, and no second authentication with an old nonce.
//
//	server   realm="zk-sasl-md5",nonce="…",charset=utf-8,algorithm=md5-sess
//	client   charset=utf-8,username="bob",realm="zk-sasl-md5",nonce="…",nc=00000001,cnonce="…",
//	         digest-uri="zookeeper/zk-sasl-md5",maxbuf=65536,response=…,qop=auth,authzid="bob"
//	server   rspauth=…
//
// An exchange is a value: tokens go in, tokens come out. How they travel, and where passwords are kept, is not known here.
// MD5 is what the mechanism says; whoever sees an exchange can try passwords on it, so that it belongs inside TLS.
package sasl

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
)

// MaxTokenBytes is the longest token that is looked at.
const MaxTokenBytes = 4096

// Why an exchange fails. The text of the errors that wrap them has no secret in it.
var (
	// ErrToken says that a token cannot be read or lacks something.
	ErrToken = errors.New("malformed DIGEST-MD5 token")
	// ErrRefused says that the other side did not prove what it claims.
	ErrRefused = errors.New("DIGEST-MD5 authentication refused")
	// ErrOver says that the exchange had ended before.
	ErrOver = errors.New("DIGEST-MD5 exchange is over")
)

// proof is what both sides compute their proofs of.
type proof struct {
	user, realm, password string
	nonce, cnonce, nc     string
	uri, qop, authzid     string
}

// of returns the proof of a side: "AUTHENTICATE" for the client, nothing for the server.
func (p proof) of(side string) string {
	secret := md5.New()
	secret.Write(latin1(p.user))
	secret.Write([]byte{':'})
	secret.Write(latin1(p.realm))
	secret.Write([]byte{':'})
	secret.Write(latin1(p.password))
	a1 := secret.Sum(nil)
	a1 = append(a1, ":"+p.nonce+":"+p.cnonce...)
	if p.authzid != "" {
		a1 = append(a1, ":"+p.authzid...)
	}
	return hash(hash(string(a1)) + ":" + p.nonce + ":" + p.nc + ":" + p.cnonce + ":" + p.qop + ":" + hash(side+":"+p.uri))
}

func hash(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// latin1 encodes text in ISO 8859-1 if that has all its characters, as RFC 2831 wants it, else in UTF-8.
func latin1(text string) []byte {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return []byte(text)
		}
		b = append(b, byte(r))
	}
	return b
}
