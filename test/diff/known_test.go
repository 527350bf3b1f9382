//go:build diff

package diff

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/zkctl/zkctl/wire"
)

// difference is one in which zkserver is not meant to be like Apache ZooKeeper 3.8.0.
type difference struct {
	name string
	why  string
	// zxid tells that only one side uses up a zxid: 1 for zkserver, -1 for Apache ZooKeeper.
	zxid int
	// extra tells that theirs is a line too many, so that ours still waits for its counterpart.
	extra bool
	// explains tells whether it is the one between two lines of an outcome; a line may be missing.
	explains func(st step, ours, theirs line) bool
}

// hidden is the part of the tree where nodes are not readable by everyone.
const hidden = "/r"

func isHidden(path string) bool { return strings.HasPrefix(path, hidden) }

var differences = []difference{
	{
		name: "no zxid for a multi or a reconfig that cannot be read", zxid: 1,
		why: "every write takes one in zkserver; Apache ZooKeeper has an exception where it fails before it asks for one. " +
			"After a multi with a null path it sends an empty result behind the code",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpMulti, wire.OpReconfig) && ours.err == wire.ErrMarshalling && theirs.err == wire.ErrMarshalling
		},
	},
	{
		name: "event for those who may not or could not read", extra: true,
		why: "Apache ZooKeeper asks for READ neither when setWatches finds an event overdue nor, before 3.8.4 and 3.9.2 " +
			"(ZOOKEEPER-2590), when exists registers a watch",
		explains: func(_ step, _, theirs line) bool {
			return theirs.event && isHidden(theirs.path)
		},
	},
	{
		name: "exists for those who may not read",
		why:  "exists needs READ since 3.8.4 and 3.9.2 (ZOOKEEPER-2590)",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpExists) && ours.err == wire.ErrNoAuth && theirs.err == wire.ErrOK && isHidden(path(st))
		},
	},
	{
		name: "checkWatches answers for others",
		why:  "before 3.9 it asks whether anybody watches the path, or whether the connection does in any mode",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpCheckWatches) && ours.err == wire.ErrNoWatcher && theirs.err == wire.ErrOK
		},
	},
	{
		name: "text that is no UTF-8, or beyond the BMP",
		why:  "Java decodes and encodes strings, with U+FFFD for errors and surrogates one by one; zkserver keeps bytes. No node has such a name",
		explains: func(st step, ours, theirs line) bool {
			if isRequest(st, wire.OpCheckWatches, wire.OpRemoveWatches) && !utf8.ValidString(path(st)) {
				return ours.err == wire.ErrNoWatcher // where all errors are one path, there may be a watch
			}
			return strange.MatchString(ours.text) && strange.ReplaceAllString(ours.text, "") == strange.ReplaceAllString(theirs.text, "")
		},
	},
	{
		name: "a wrong password ends the connection of another",
		why:  "Apache ZooKeeper closes the connection that holds the session before it looks at the password of the new one",
		explains: func(st step, ours, theirs line) bool {
			return st.connect != nil && st.spoil && theirs.text == "closed" && ours.text != ""
		},
	},
	{
		name: "results behind a code",
		why:  "Apache ZooKeeper has begun the response to a multiRead when it finds that it cannot read it; a code has no body",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpMultiRead) && ours.err == wire.ErrMarshalling && strings.HasPrefix(theirs.text, ours.text+" and behind it ")
		},
	},
	{
		name: "checkWatches of what is no path",
		why:  "Apache ZooKeeper fails on its way to the root",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpCheckWatches) && !strings.HasPrefix(path(st), "/") &&
				ours.err == wire.ErrNoWatcher && theirs.err == wire.ErrMarshalling
		},
	},
	{
		name: "deleteContainer of a client", zxid: -1,
		why: "Apache ZooKeeper deletes any empty node for anybody; refused like what is unknown",
		explains: func(st step, ours, _ line) bool {
			return isRequest(st, wire.OpDeleteContainer) && (ours.err == wire.ErrUnimplemented || ours.text == "closed")
		},
	},
	{
		name: "types of watches since 3.9",
		why:  "persistent (4) and persistent recursive (5) in checkWatches and removeWatches (ZOOKEEPER-4472)",
		explains: func(st step, ours, theirs line) bool {
			d := wire.NewDecoder(st.body)
			d.NullableString()
			kind := d.Int32()
			return isRequest(st, wire.OpCheckWatches, wire.OpRemoveWatches) && (kind == 4 || kind == 5) && theirs.err == wire.ErrMarshalling
		},
	},
	{
		name: "null lists of watches",
		why:  "Apache ZooKeeper has an exception where zkserver reads none",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpSetWatches, wire.OpSetWatches2) && bytes.Contains(st.body, body{}.int(-1)) &&
				ours.err == wire.ErrOK && theirs.err == wire.ErrMarshalling
		},
	},
	{
		name: "a null id in an access list",
		why:  "it is one that no scheme accepts; Apache ZooKeeper has an exception",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpSetACL) && bytes.Contains(st.body, body{}.int(-1)) &&
				ours.err == wire.ErrInvalidACL && theirs.err == wire.ErrMarshalling
		},
	},
	{
		name: "a negative count",
		why:  "Java reads an access list of -2 entries as one of none; such a record cannot be read, for zkserver",
		explains: func(st step, ours, theirs line) bool {
			return ours.err == wire.ErrMarshalling && theirs.err != wire.ErrMarshalling && hasNegativeCount(st)
		},
	},
	{
		name: "a null path to create",
		why:  "a record without its path cannot be read, for zkserver; Apache ZooKeeper looks at flags and time to live first",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL) && bytes.HasPrefix(st.body, body{}.str(null)) &&
				ours.err == wire.ErrMarshalling && theirs.err == wire.ErrBadArguments
		},
	},
	{
		name: "a watch that only Apache ZooKeeper has",
		why:  "a watch by exists on a node that may not be read is not registered (ZOOKEEPER-2590)",
		explains: func(st step, ours, theirs line) bool {
			return isRequest(st, wire.OpCheckWatches, wire.OpRemoveWatches) && isHidden(path(st)) &&
				ours.err == wire.ErrNoWatcher && theirs.err == wire.ErrOK
		},
	},
}

// strange is what Go and Java write for what is no UTF-8, or beyond the BMP.
var strange = regexp.MustCompile(`(\\x[89a-f][0-9a-f]|\\ufffd|\\U[0-9a-f]{8})+`)

func isRequest(st step, ops ...wire.OpCode) bool {
	if st.request == nil {
		return false
	}
	for _, op := range ops {
		if st.request.Type == op {
			return true
		}
	}
	return false
}

// hasNegativeCount tells whether the access list of a create or setACL has fewer than -1 entries, in a multi that of its
// first part.
func hasNegativeCount(st step) bool {
	d := wire.NewDecoder(st.body)
	op := st.request.Type
	if op == wire.OpMulti {
		var h wire.MultiHeader
		h.Decode(d)
		op = h.Type
	}
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		d.NullableString()
		d.Buffer()
	case wire.OpSetACL:
		d.NullableString()
	default:
		return false
	}
	return d.Int32() < -1
}

// path is the first field of most requests.
func path(st step) string { return wire.NewDecoder(st.body).String() }
