package secure

import (
	"context"
	"os"
	"time"
)

// reloadInterval is how often the files are looked at.
const reloadInterval = time.Second

// Run reads the stores again when their files have changed, until ctx ends. Stores that cannot be read are told of once,
// and those of before stay in use. Without Settings.Reload it only waits.
func (c *Context) Run(ctx context.Context) {
	if !c.settings.Reload {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	seen := c.loaded
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// Files that are still being written look different from one moment to the next.
		now := filesOf(c.settings)
		settled := now.same(seen)
		seen = now
		if !settled || now.same(c.loaded) {
			continue
		}
		c.loaded = now
		m, err := load(c.settings)
		if err != nil {
			c.log.Error("TLS stores have changed and cannot be used: those of before stay in use", "error", err)
			continue
		}
		c.current.Store(m)
		c.log.Info("TLS stores read again", "keyStore", c.settings.KeyStore.Location, "trustStore", c.settings.TrustStore.Location)
	}
}

// files are those that load reads; nil for one that is not there.
type files [4]os.FileInfo

func filesOf(s Settings) files {
	var all files
	for i, path := range []string{s.KeyStore.Location, s.KeyStore.PasswordPath, s.TrustStore.Location, s.TrustStore.PasswordPath} {
		if info, err := os.Stat(path); path != "" && err == nil {
			all[i] = info
		}
	}
	return all
}

// same tells whether nothing has been replaced or written.
func (f files) same(as files) bool {
	for i, a := range f {
		b := as[i]
		if a == nil && b == nil {
			continue
		}
		if a == nil || b == nil || !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
