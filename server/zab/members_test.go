package zab

import (
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

func members(voters ...wire.ServerID) *quorum.Config {
	var list []quorum.Member
	for _, id := range voters {
		list = append(list, quorum.Member{ID: id})
	}
	c, err := quorum.New(list, nil, 0)
	if err != nil {
		panic(err)
	}
	return c
}
