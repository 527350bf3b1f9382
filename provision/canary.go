package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/zkctl/zkctl/inventory"
)

// readsInFlight is how much a canary reads at a time at each member, so that it does not take a round trip for every other one.
const readsInFlight = 16

// Canary writes through each of the members and reads what was written at all the others, over connections that a Dialer makes.
// The nodes are ephemeral, so that a canary which is cut off leaves nothing behind; the paths are random, below the root. Each
// member has to hold a session of its own: the connection never moves to another one.
func Canary(way Dialer) func(ctx context.Context, hosts []inventory.Host) error {
	return func(ctx context.Context, hosts []inventory.Host) error { return canary(ctx, way, hosts) }
}

func canary(ctx context.Context, way Dialer, hosts []inventory.Host) error {
	conns := make([]*zk.Conn, len(hosts))
	defer closeAll(conns)
	group, groupCtx := errgroup.WithContext(ctx)
	for i, h := range hosts {
		group.Go(func() (err error) {
			conns[i], err = dial(groupCtx, way, h)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { closeAll(conns) })
	defer stop()

	run := "/zkctl-canary-" + rand.Text()
	paths := make([]string, len(hosts))
	group = new(errgroup.Group)
	for i, h := range hosts {
		group.Go(func() error {
			paths[i] = fmt.Sprintf("%s-%d", run, h.ID)
			_, err := conns[i].Create(paths[i], []byte(h.Name), zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
			return canaryError(ctx, h, "write", err)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group = new(errgroup.Group)
	for i, h := range hosts {
		group.Go(func() error {
			if _, err := conns[i].Sync(paths[i]); err != nil {
				return canaryError(ctx, h, "sync", err)
			}
			var reads errgroup.Group
			reads.SetLimit(readsInFlight)
			for j, writer := range hosts {
				reads.Go(func() error {
					data, _, err := conns[i].Get(paths[j])
					if err == nil && string(data) != writer.Name {
						err = fmt.Errorf("read %q", data)
					}
					return canaryError(ctx, h, "read what was written through "+writer.Name, err)
				})
			}
			return reads.Wait()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group = new(errgroup.Group)
	for i, h := range hosts {
		group.Go(func() error { return canaryError(ctx, h, "delete", conns[i].Delete(paths[i], -1)) })
	}
	return group.Wait()
}

// closeAll ends sessions, all at once: each waits for its member's answer.
func closeAll(conns []*zk.Conn) {
	var group sync.WaitGroup
	for _, c := range conns {
		if c != nil {
			group.Go(c.Close)
		}
	}
	group.Wait()
}

func canaryError(ctx context.Context, h inventory.Host, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, zk.ErrClosing) {
		err = cause
	}
	return fmt.Errorf("%s: canary: %s: %w", h.Name, what, err)
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// dial opens a session at one member.
func dial(ctx context.Context, way Dialer, h inventory.Host) (*zk.Conn, error) {
	// The address is for show: the library would look its name up here, and perhaps only a jump host knows it.
	dialer := func(_, _ string, timeout time.Duration) (net.Conn, error) {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return way(limited, h)
	}
	conn, events, err := zk.Connect([]string{"127.0.0.1:0"}, 10*time.Second, zk.WithLogger(silent{}), zk.WithLogInfo(false), zk.WithDialer(dialer))
	if err != nil {
		return nil, fmt.Errorf("%s: canary: connect to %s: %w", h.Name, h.ClientAddress(), err)
	}
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return conn, nil
			}
		case <-ctx.Done():
			conn.Close()
			return nil, fmt.Errorf("%s: canary: no session at %s: %w", h.Name, h.ClientAddress(), context.Cause(ctx))
		}
	}
}
