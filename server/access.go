package server

import (
	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/config"
)

// authOptions are how clients are authenticated and authorized.
func authOptions(c *config.Config) auth.Options {
	return auth.Options{SkipACL: c.SkipACL, Schemes: []auth.Scheme{auth.Digest(c.SuperDigest, "")}}
}
