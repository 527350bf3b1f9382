//go:build !linux

package clientport

import (
	"errors"
	"net"
)

func setBacklog(net.Listener, int) error { return errors.ErrUnsupported }
