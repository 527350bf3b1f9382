package toolkit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// opName is org.apache.zookeeper.server.Request.op2String.
func opName(op wire.OpCode) string {
	switch op {
	case wire.OpCreate:
		return "create"
	case wire.OpCreate2:
		return "create2"
	case wire.OpCreateContainer:
		return "createContainer"
	case wire.OpCreateTTL:
		return "createTtl"
	case wire.OpDelete:
		return "delete"
	case wire.OpDeleteContainer:
		return "deleteContainer"
	case wire.OpSetData:
		return "setData"
	case wire.OpReconfig:
		return "reconfig"
	case wire.OpSetACL:
		return "setACL"
	case wire.OpCheck:
		return "check"
	case wire.OpMulti:
		return "multi"
	case wire.OpCreateSession:
		return "createSession"
	case wire.OpCloseSession:
		return "closeSession"
	case wire.OpError:
		return "error"
	}
	return fmt.Sprintf("unknown %d", int32(op))
}

// describe is the line for a txn, without its end.
func describe(b []byte) (string, error) {
	h, err := txn.DecodeHeader(b)
	if err != nil {
		return "", err
	}
	what, err := describeRecord(h.Type, b[txn.HeaderBytes:])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s session 0x%x cxid 0x%x zxid 0x%x %s %s", shortDateTime(h.Time), uint64(h.Session), uint32(h.Cxid),
		uint64(h.Zxid), opName(h.Type), what), nil
}

// describeRecord is the text of a record. A digest behind it does not show.
func describeRecord(op wire.OpCode, b []byte) (string, error) {
	d := wire.NewDecoder(b)
	var text string
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		text = describeCreate(d)
	case wire.OpCreateContainer:
		text = path(d) + "," + data(d) + "," + acls(d) + "," + number(d)
	case wire.OpCreateTTL:
		text = path(d) + "," + data(d) + "," + acls(d) + "," + number(d) + "," + strconv.FormatInt(d.Int64(), 10)
	case wire.OpDelete, wire.OpDeleteContainer:
		text = quoted(d)
	case wire.OpSetData, wire.OpReconfig:
		text = path(d) + "," + data(d) + "," + number(d)
	case wire.OpSetACL:
		text = quoted(d) + "," + aclVector(d) + "," + number(d)
	case wire.OpCreateSession, wire.OpError:
		text = number(d)
	case wire.OpCloseSession:
		text = describeCloseSession(d)
		if d.Err() != nil {
			return "", nil // without a list, as before 3.6
		}
	case wire.OpMulti:
		text = describeMulti(d)
	default:
		return "", fmt.Errorf("unsupported txn with type %d", int32(op))
	}
	return text, d.Err()
}

func describeCreate(d *wire.Decoder) string {
	text := path(d) + "," + data(d) + "," + acls(d) + "," + strconv.FormatBool(d.Bool())
	if d.Err() == nil && len(d.Rest()) == 0 { // before 3.4
		return text + ",-1"
	}
	return text + "," + number(d)
}

func describeCloseSession(d *wire.Decoder) string {
	paths := d.Strings()
	for i := range paths {
		paths[i] = escaped(paths[i])
	}
	return "v{" + strings.Join(paths, ",") + "}"
}

// describeMulti shows the parts as they were written, as text.
func describeMulti(d *wire.Decoder) string {
	n, _ := d.Count(8)
	parts := make([]string, 0, n)
	for range n {
		op := wire.OpCode(d.Int32())
		parts = append(parts, opName(op)+":"+javatext.Decode(d.Buffer()))
	}
	return strings.Join(parts, ";")
}

func path(d *wire.Decoder) string   { return javatext.Decode([]byte(d.String())) }
func data(d *wire.Decoder) string   { return javatext.Decode(d.Buffer()) }
func number(d *wire.Decoder) string { return strconv.Itoa(int(d.Int32())) }
func quoted(d *wire.Decoder) string { return escaped(d.String()) }

// acls is java.util.List.toString of a list of ACLs.
func acls(d *wire.Decoder) string {
	n, null := d.Count(12)
	if null {
		return "null"
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, number(d)+",s{"+quoted(d)+","+quoted(d)+"}\n")
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// aclVector is a vector of ACLs in org.apache.jute.ToStringOutputArchive.
func aclVector(d *wire.Decoder) string {
	n, _ := d.Count(12)
	list := make([]string, 0, n)
	for range n {
		list = append(list, "s{"+number(d)+",s{"+quoted(d)+","+quoted(d)+"}}")
	}
	return "v{" + strings.Join(list, ",") + "}"
}

var escapes = strings.NewReplacer("\x00", "%00", "\n", "%0A", "\r", "%0D", ",", "%2C", "}", "%7D", "%", "%25")

func escaped(s string) string { return "'" + escapes.Replace(javatext.Decode([]byte(s))) }
