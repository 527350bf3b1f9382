package auth

import (
	"strconv"

	"github.com/zkctl/zkctl/wire"
)

// Key returns the scheme "key": a client shows a multiple of the number in the node /key. Without that node, everything is
// accepted. All such clients are the same to access control lists. It is Apache ZooKeeper's example of a provider that
// reads the tree (org.apache.zookeeper.server.auth.KeyAuthenticationProvider), and no protection.
func Key() Scheme { return key{} }

type key struct{}

const keyPath = "/key"

func (key) Name() string { return "key" }

func (k key) Authenticate(c Conn, data []byte) ([]wire.ID, Verdict) {
	number := []byte(nil)
	if c.Data != nil {
		number = c.Data(keyPath)
	}
	if data == nil || number != nil && !isMultiple(string(data), string(number)) {
		return nil, Failed
	}
	return []wire.ID{{Scheme: k.Name()}}, Accepted
}

// isMultiple compares decimal numbers of 32 bits; all are multiples of 0.
func isMultiple(text, of string) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return false
	}
	key, err := strconv.ParseInt(of, 10, 32)
	return err == nil && (key == 0 || n%key == 0)
}

func (key) Valid(string) bool             { return true }
func (key) Matches(conn, acl string) bool { return conn == acl }
func (key) Proven() bool                  { return true }
func (key) User(id string) string         { return id }
