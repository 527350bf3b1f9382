package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// ConfigPath is the znode with the membership of the ensemble, whatever the chroot.
const ConfigPath = "/zookeeper/config"

// Create creates a znode and returns its path, which differs for the sequential flags (wire.FlagSequential and others).
// ttl is for the flags with TTL only. An empty ACL is refused as the server would. The path of the chroot itself is empty.
func (c *Client) Create(ctx context.Context, path string, data []byte, acl []wire.ACL, flags int32, ttl time.Duration) (string, error) {
	check := path
	switch flags {
	case wire.FlagSequential, wire.FlagEphemeralSequential, wire.FlagPersistentSequentialTTL:
		check += "1" // so that the name may be left to the server
	}
	if err := checkPath(check); err != nil {
		return "", err
	}
	if len(acl) == 0 {
		return "", &Error{Code: wire.ErrInvalidACL}
	}
	q := wire.CreateRequest{Path: c.serverPath(path), Data: data, ACL: acl, Flags: flags}
	r := &request{op: wire.OpCreate, path: path}
	switch flags {
	case wire.FlagPersistentTTL, wire.FlagPersistentSequentialTTL:
		r.op, r.body = wire.OpCreateTTL, wire.CreateTTLRequest{CreateRequest: q, TTL: ttl.Milliseconds()}.Append(nil)
	case wire.FlagContainer:
		r.op, r.body = wire.OpCreateContainer, q.Append(nil)
	default:
		r.body = q.Append(nil)
	}
	created := ""
	err := c.get(ctx, r, func(d *wire.Decoder) { created = strings.TrimPrefix(d.String(), c.chroot) })
	return created, err
}

// Delete deletes a znode of this version, of any if version is -1.
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	if err := checkPath(path); err != nil {
		return err
	}
	full := path // there is no deleting a root, be it the chroot
	if path != "/" {
		full = c.serverPath(path)
	}
	return c.do(ctx, &request{op: wire.OpDelete, body: wire.VersionRequest{Path: full, Version: version}.Append(nil), path: path})
}

// DeleteTogether deletes all of the znodes, or none.
func (c *Client) DeleteTogether(ctx context.Context, paths []string) error {
	var body []byte
	for _, path := range paths {
		if err := checkPath(path); err != nil {
			return err
		}
		body = wire.MultiHeader{Type: wire.OpDelete, Err: -1}.Append(body)
		body = wire.VersionRequest{Path: c.serverPath(path), Version: -1}.Append(body)
	}
	r := &request{op: wire.OpMulti, body: wire.MultiEnd.Append(body)}
	code := wire.ErrOK
	err := c.get(ctx, r, func(d *wire.Decoder) {
		for d.Err() == nil {
			var h wire.MultiHeader
			h.Decode(d)
			if h.Done {
				return
			}
			if h.Type == wire.OpError {
				if e := wire.ErrCode(d.Int32()); code == wire.ErrOK {
					code = e
				}
			}
		}
	})
	if err == nil && code != wire.ErrOK {
		return &Error{Code: code}
	}
	return err
}

// read is a request with a path and perhaps a watch.
func (c *Client) read(ctx context.Context, op wire.OpCode, path string, watch bool, set paths, decode func(*wire.Decoder)) error {
	if err := checkPath(path); err != nil {
		return err
	}
	r := &request{op: op, body: wire.ReadRequest{Path: c.serverPath(path), Watch: watch}.Append(nil), path: path}
	if watch {
		r.settle = keep(set, path)
	}
	return c.get(ctx, r, decode)
}

// keep notes a watch if the request succeeded.
func keep(set paths, path string) func(*Client, wire.ErrCode) (wire.ErrCode, []Event) {
	return func(_ *Client, code wire.ErrCode) (wire.ErrCode, []Event) {
		if code == wire.ErrOK {
			set.add(path)
		}
		return code, nil
	}
}

// Exists returns the stat of a znode, nil if there is none. The watch is set either way.
func (c *Client) Exists(ctx context.Context, path string, watch bool) (*wire.Stat, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	r := &request{op: wire.OpExists, body: wire.ReadRequest{Path: c.serverPath(path), Watch: watch}.Append(nil), path: path}
	if watch {
		r.settle = func(c *Client, code wire.ErrCode) (wire.ErrCode, []Event) {
			switch code {
			case wire.ErrOK:
				c.watches.data.add(path)
			case wire.ErrNoNode:
				c.watches.exist.add(path)
			}
			return code, nil
		}
	}
	stat := new(wire.Stat)
	err := c.get(ctx, r, stat.Decode)
	if Code(err) == wire.ErrNoNode {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return stat, nil
}

// Get returns the data of a znode, nil for null.
func (c *Client) Get(ctx context.Context, path string, watch bool) (data []byte, stat wire.Stat, err error) {
	err = c.read(ctx, wire.OpGetData, path, watch, c.watches.data, func(d *wire.Decoder) {
		data = d.Buffer()
		stat.Decode(d)
	})
	return data, stat, err
}

// Children returns the names of a znode's children in the server's order.
func (c *Client) Children(ctx context.Context, path string, watch bool) (names []string, stat wire.Stat, err error) {
	err = c.read(ctx, wire.OpGetChildren2, path, watch, c.watches.child, func(d *wire.Decoder) {
		names = d.Strings()
		stat.Decode(d)
	})
	return names, stat, err
}

// Set sets the data of a znode of this version, of any if version is -1.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (stat wire.Stat, err error) {
	if err := checkPath(path); err != nil {
		return stat, err
	}
	q := wire.SetDataRequest{Path: c.serverPath(path), Data: data, Version: version}
	return stat, c.get(ctx, &request{op: wire.OpSetData, body: q.Append(nil), path: path}, stat.Decode)
}

// GetACL returns a znode's ACL.
func (c *Client) GetACL(ctx context.Context, path string) (acl []wire.ACL, stat wire.Stat, err error) {
	if err := checkPath(path); err != nil {
		return nil, stat, err
	}
	r := &request{op: wire.OpGetACL, body: wire.PathRequest{Path: c.serverPath(path)}.Append(nil), path: path}
	err = c.get(ctx, r, func(d *wire.Decoder) {
		acl = d.ACLs()
		stat.Decode(d)
	})
	return acl, stat, err
}

// SetACL sets the ACL of a znode of this ACL version, of any if version is -1.
func (c *Client) SetACL(ctx context.Context, path string, acl []wire.ACL, version int32) (stat wire.Stat, err error) {
	if err := checkPath(path); err != nil {
		return stat, err
	}
	if len(acl) == 0 {
		return stat, &Error{Code: wire.ErrInvalidACL}
	}
	q := wire.SetACLRequest{Path: c.serverPath(path), ACL: acl, Version: version}
	return stat, c.get(ctx, &request{op: wire.OpSetACL, body: q.Append(nil), path: path}, stat.Decode)
}

// Sync returns when the server has everything that was committed before.
func (c *Client) Sync(ctx context.Context, path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	return c.do(ctx, &request{op: wire.OpSync, body: wire.PathRequest{Path: c.serverPath(path)}.Append(nil), path: path})
}

// CountAll returns the number of znodes below a path.
func (c *Client) CountAll(ctx context.Context, path string) (n int32, err error) {
	if err := checkPath(path); err != nil {
		return 0, err
	}
	r := &request{op: wire.OpGetAllChildrenNumber, body: wire.PathRequest{Path: c.serverPath(path)}.Append(nil), path: path}
	err = c.get(ctx, r, func(d *wire.Decoder) { n = d.Int32() })
	return n, err
}

// Ephemerals returns the session's ephemeral znodes at and below a path. Neither it nor they know of the chroot, as with
// Apache ZooKeeper.
func (c *Client) Ephemerals(ctx context.Context, prefix string) (paths []string, err error) {
	if err := checkPath(prefix); err != nil {
		return nil, err
	}
	r := &request{op: wire.OpGetEphemerals, body: wire.PathRequest{Path: prefix}.Append(nil)}
	err = c.get(ctx, r, func(d *wire.Decoder) { paths = d.Strings() })
	return paths, err
}

// WhoAmI returns the ids of the connection.
func (c *Client) WhoAmI(ctx context.Context) (ids []wire.ClientInfo, err error) {
	err = c.get(ctx, &request{op: wire.OpWhoAmI}, func(d *wire.Decoder) {
		n, _ := d.Count(8)
		for range n {
			ids = append(ids, wire.ClientInfo{AuthScheme: d.String(), User: d.String()})
		}
	})
	return ids, err
}

// Config returns the membership of the ensemble.
func (c *Client) Config(ctx context.Context, watch bool) (data []byte, stat wire.Stat, err error) {
	r := &request{op: wire.OpGetData, body: wire.ReadRequest{Path: ConfigPath, Watch: watch}.Append(nil), path: ConfigPath}
	if watch {
		r.settle = keep(c.watches.data, ConfigPath)
	}
	err = c.get(ctx, r, func(d *wire.Decoder) {
		data = d.Buffer()
		stat.Decode(d)
	})
	return data, stat, err
}

// Reconfig changes the membership of the ensemble and returns the new one.
func (c *Client) Reconfig(ctx context.Context, q wire.ReconfigRequest) (data []byte, stat wire.Stat, err error) {
	err = c.get(ctx, &request{op: wire.OpReconfig, body: q.Append(nil)}, func(d *wire.Decoder) {
		data = d.Buffer()
		stat.Decode(d)
	})
	return data, stat, err
}

// AddWatch sets a persistent watch, wire.AddWatchPersistent or wire.AddWatchPersistentRecursive.
func (c *Client) AddWatch(ctx context.Context, path string, mode int32) error {
	if err := checkPath(path); err != nil {
		return err
	}
	set := c.watches.persistent
	if mode == wire.AddWatchPersistentRecursive {
		set = c.watches.recursive
	}
	r := &request{op: wire.OpAddWatch, body: wire.WatchRequest{Path: c.serverPath(path), Type: mode}.Append(nil), path: path}
	r.settle = keep(set, path)
	return c.do(ctx, r)
}

// RemoveWatches removes the session's watches of a type (wire.WatchesAny and others) from a znode. With local they are
// dropped even if the server does not agree or cannot be asked.
func (c *Client) RemoveWatches(ctx context.Context, path string, kind int32, local bool) error {
	if err := checkPath(path); err != nil {
		return err
	}
	r := &request{op: wire.OpRemoveWatches, body: wire.WatchRequest{Path: c.serverPath(path), Type: kind}.Append(nil), path: path}
	r.settle = func(c *Client, code wire.ErrCode) (wire.ErrCode, []Event) {
		if !c.watches.watchedBy(kind, path) {
			return wire.ErrNoWatcher, nil
		}
		if code != wire.ErrOK && !local {
			return code, nil
		}
		state := StateSyncConnected
		if code == wire.ErrConnectionLoss || code == wire.ErrSessionExpired {
			state = StateDisconnected
		}
		var events []Event
		for _, event := range c.watches.remove(kind, path) {
			events = append(events, Event{state, event, path})
		}
		if len(events) == 0 {
			return wire.ErrNoWatcher, nil
		}
		return wire.ErrOK, events
	}
	return c.do(ctx, r)
}

// AddAuth authenticates the session, here and at every server that it moves to. It does not wait: if the server refuses,
// the session ends with AuthFailed.
func (c *Client) AddAuth(scheme string, auth []byte) {
	c.mu.Lock()
	a := wire.AuthPacket{Scheme: scheme, Auth: auth}
	if c.state.Alive() && !c.closing {
		c.auth = append(c.auth, a)
		c.queue = append(c.queue, &request{op: wire.OpAuth, body: a.Append(nil), done: make(chan struct{})})
	}
	c.mu.Unlock()
	c.rouse()
}

// IsArgument tells whether an error is an ArgumentError.
func IsArgument(err error) bool {
	var e ArgumentError
	return errors.As(err, &e)
}
