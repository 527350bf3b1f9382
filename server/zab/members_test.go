package zab

import (
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

func members(voters ...wire.ServerID) *quorum.Config { return &quorum.Config{Voters: voters} }
