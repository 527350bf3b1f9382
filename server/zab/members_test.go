package zab

import (
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// members is a membership of these voters; negative ids are observers.
func members(ids ...wire.ServerID) *quorum.Config {
	var list []quorum.Member
	for _, id := range ids {
		m := quorum.Member{ID: max(id, -id), Observer: id < 0, Host: "h", QuorumPort: 2888, ElectionPort: 3888}
		m.QuorumPort += int(m.ID)
		list = append(list, m)
	}
	c, err := quorum.New(list, nil, 0)
	if err != nil {
		panic(err)
	}
	return c
}
