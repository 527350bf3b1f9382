package prep

import (
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// settled is a membership that nothing changes.
type settled struct{ *quorum.Config }

func (s settled) Members() *quorum.Config         { return s.Config }
func (s settled) LastSeen() *quorum.Config        { return s.Config }
func (s settled) HasSynced(_ *quorum.Config) bool { return true }

// Servers get several addresses only where that is enabled.
func TestReconfigWithSeveralAddresses(t *testing.T) {
	c, err := quorum.Parse([]byte("server.1=a:1:2;5\nserver.2=b:1:2;5\nserver.3=c:1:2;5\nversion=0"))
	if err != nil {
		t.Fatal(err)
	}
	joining := "server.4=d:1:2|e:1:2;5"
	for multi, want := range map[bool]wire.ErrCode{false: wire.ErrBadArguments, true: wire.ErrOK} {
		p := New(tree.New(tree.Options{}), nil, auth.New(auth.Options{SkipACL: true}))
		p.Membership, p.ReconfigEnabled, p.MultiAddress = settled{c}, true, multi
		h := txn.Header{Zxid: 5, Type: wire.OpReconfig}
		p.overlay.begin(h)
		record, code := p.changeMembers(Request{}, h, wire.ReconfigRequest{Joining: &joining, ConfigID: -1})
		if code != want {
			t.Errorf("multiAddress.enabled=%v: %v, want %v", multi, code, want)
		}
		if code == wire.ErrOK && string(record.Data) != string(c.Text()[:len(c.Text())-len("version=0")])+"server.4=d:1:2|e:1:2:participant;0.0.0.0:5\nversion=5" {
			t.Errorf("the new membership is %s", record.Data)
		}
	}
}
