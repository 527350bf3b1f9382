package config

import (
	"testing"

	"github.com/zkctl/zkctl/server/quorum"
)

// What a client may make of the membership is what the members can start with again.
func TestCheckMembers(t *testing.T) {
	const three = "server.1=zk1:2888:3888;2181\nserver.2=zk2:2888:3888;2181\nserver.3=zk3:2888:3888;2181"
	for text, fine := range map[string]bool{
		three: true,
		three + "\nserver.4=zk4:2888:3888:observer;2181":                  true,
		three + "\ngroup.1=1:2:3\nweight.1=2":                             true,
		"server.1=zk1:2888:3888;2181":                                     true,
		three + "\nserver.256=zk4:2888:3888;2181":                         false,
		three + "\nserver.0=zk4:2888:3888;2181":                           true,
		three + "\nserver.-4=zk4:2888:3888;2181":                          false,
		three + "\nserver.4=zk3:2888:3889;2181":                           false,
		three + "\nserver.4=zk4:2888:3888:observer;2181\ngroup.1=1:2:3:4": false,
		three + "\ngroup.1=1:2:3\nweight.1=4294967296":                    false,
	} {
		c, err := quorum.Parse([]byte(text))
		if err == nil {
			err = CheckMembers(c.WithVersion(7))
		}
		if (err == nil) != fine {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
