package auth

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"

	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/wire"
)

const digestScheme = "digest"

// digest is user and password; ids carry the password's hash
// (org.apache.zookeeper.server.auth.DigestAuthenticationProvider).
type digest struct {
	super string
	hash  func() hash.Hash
}

// hashes are the algorithms for the ids of the scheme digest, under the names that java.security.MessageDigest has for
// them, in capitals.
var hashes = map[string]func() hash.Hash{
	"MD5": md5.New, "SHA": sha1.New, "SHA1": sha1.New, "SHA-1": sha1.New,
	"SHA-224": sha256.New224, "SHA224": sha256.New224, "SHA-256": sha256.New, "SHA256": sha256.New,
	"SHA-384": sha512.New384, "SHA384": sha512.New384, "SHA-512": sha512.New, "SHA512": sha512.New,
	"SHA-512/224": sha512.New512_224, "SHA512/224": sha512.New512_224,
	"SHA-512/256": sha512.New512_256, "SHA512/256": sha512.New512_256,
	"SHA3-224": func() hash.Hash { return sha3.New224() }, "SHA3-256": func() hash.Hash { return sha3.New256() },
	"SHA3-384": func() hash.Hash { return sha3.New384() }, "SHA3-512": func() hash.Hash { return sha3.New512() },
}

// KnowsDigest reports whether Options.DigestAlgorithm may have this value.
func KnowsDigest(algorithm string) bool { return hashes[strings.ToUpper(algorithm)] != nil }

// Digest returns the scheme "digest". super is the id of the user who may do everything, "" for nobody; algorithm hashes
// the ids, "" is SHA-1, and one that KnowsDigest does not know is a defect of the caller.
func Digest(super, algorithm string) Scheme {
	if algorithm == "" {
		algorithm = "SHA1"
	}
	return digest{super, hashes[strings.ToUpper(algorithm)]}
}

func (digest) Name() string { return digestScheme }

func (d digest) Authenticate(_ Conn, data []byte) ([]wire.ID, Verdict) {
	if data == nil {
		return nil, Failed
	}
	id := d.id(javatext.Decode(data))
	ids := []wire.ID{{Scheme: digestScheme, ID: id}}
	if d.super != "" && subtle.ConstantTimeCompare([]byte(id), []byte(d.super)) == 1 {
		ids = append(ids, wire.ID{Scheme: SuperScheme})
	}
	return ids, Accepted
}

// id is the id of "user:password".
func (d digest) id(userPassword string) string {
	user, _, _ := strings.Cut(userPassword, ":")
	h := d.hash()
	h.Write([]byte(userPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Valid wants two parts; as in Java, colons at the end make no part.
func (digest) Valid(id string) bool {
	return strings.Count(strings.TrimRight(id, ":"), ":") == 1
}

func (digest) Matches(conn, acl string) bool { return conn == acl }
func (digest) Proven() bool                  { return true }

func (digest) User(id string) string {
	user, _, _ := strings.Cut(id, ":")
	return user
}
