package config

import (
	"fmt"
	"strconv"

	"github.com/zkctl/zkctl/wire"
)

// maxServerID is what fits in the byte that session ids have for the server that made them.
const maxServerID = 255

// parseServerID takes N of server.N, and myid.
func parseServerID(text string) (wire.ServerID, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 || id > maxServerID {
		return 0, fmt.Errorf("not a number from 0 to %d", maxServerID)
	}
	return wire.ServerID(id), nil
}
