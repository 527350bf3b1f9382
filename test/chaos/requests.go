package chaos

import (
	"github.com/zkctl/zkctl/wire"
)

// Create creates a znode and returns its path.
func (s *Session) Create(path, data string, flags int32) (Reply, string) {
	r := s.Do(wire.OpCreate, wire.CreateRequest{Path: path, Data: []byte(data), ACL: wire.OpenACL(), Flags: flags}.Append(nil))
	if r.Fate != Done {
		return r, ""
	}
	return r, wire.NewDecoder(r.Body).String()
}

// Set sets a znode's data.
func (s *Session) Set(path, data string, version int32) (r Reply, stat wire.Stat) {
	r = s.Do(wire.OpSetData, wire.SetDataRequest{Path: path, Data: []byte(data), Version: version}.Append(nil))
	if r.Fate == Done {
		stat.Decode(wire.NewDecoder(r.Body))
	}
	return r, stat
}

// Delete deletes a znode of any version.
func (s *Session) Delete(path string) Reply {
	return s.Do(wire.OpDelete, wire.VersionRequest{Path: path, Version: -1}.Append(nil))
}

// Get reads a znode.
func (s *Session) Get(path string) (r Reply, data string, stat wire.Stat) {
	r = s.Do(wire.OpGetData, wire.ReadRequest{Path: path}.Append(nil))
	if r.Fate == Done {
		d := wire.NewDecoder(r.Body)
		data = string(d.Buffer())
		stat.Decode(d)
	}
	return r, data, stat
}

// Children lists the children of a znode.
func (s *Session) Children(path string) (r Reply, names []string, stat wire.Stat) {
	r = s.Do(wire.OpGetChildren2, wire.ReadRequest{Path: path}.Append(nil))
	if r.Fate == Done {
		d := wire.NewDecoder(r.Body)
		names = d.Strings()
		stat.Decode(d)
	}
	return r, names, stat
}

// Sync waits until the server has what was committed before.
func (s *Session) Sync(path string) Reply {
	return s.Do(wire.OpSync, wire.PathRequest{Path: path}.Append(nil))
}

// part is one request of a multi.
type part struct {
	op   wire.OpCode
	body []byte
}

// result is the answer to it.
type result struct {
	code wire.ErrCode
	data string
	stat wire.Stat
}

// multi sends parts together, and returns the answers to each; op is that of the multi. A multi of writes of which one
// failed is Refused.
func (s *Session) multi(op wire.OpCode, parts ...part) (Reply, []result) {
	var body []byte
	for _, p := range parts {
		body = append(wire.MultiHeader{Type: p.op, Err: -1}.Append(body), p.body...)
	}
	r := s.Do(op, wire.MultiEnd.Append(body))
	if len(r.Body) == 0 {
		return r, nil
	}
	var results []result
	for d := wire.NewDecoder(r.Body); d.Err() == nil; {
		var h wire.MultiHeader
		if h.Decode(d); h.Done {
			break
		}
		var one result
		switch h.Type {
		case wire.OpError:
			one.code = wire.ErrCode(d.Int32())
		case wire.OpCreate:
			_ = d.String()
		case wire.OpSetData:
			one.stat.Decode(d)
		case wire.OpGetData:
			one.data = string(d.Buffer())
			one.stat.Decode(d)
		}
		results = append(results, one)
	}
	if op == wire.OpMulti {
		for _, one := range results {
			switch one.code {
			case wire.ErrOK:
			case wire.ErrSessionExpired, wire.ErrSessionMoved: // which Apache ZooKeeper says of each part
				r.Fate, r.Code = Unsent, one.code
				return r, results
			default:
				r.Fate, r.Code = Refused, one.code
			}
		}
	}
	return r, results
}
