package toolkit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const txnLogHelp = `usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)
 -c,--chop         Chop mode. Chop txn file to a zxid.
 -d,--dump         Dump mode. Dump all entries of the log file with printing the content of a nodepath (default)
 -h,--help         Print help message
 -r,--recover      Recovery mode. Re-calculate CRC for broken entries.
 -t,--test         Test mode. Say how the file ends, and exit with 1 if it is damaged.
 -v,--verbose      Be verbose in recovery mode: print all entries, not just fixed ones.
 -y,--yes          Non-interactive mode: repair all CRC errors without asking
 -z,--zxid <arg>   Used with chop. Zxid to which to chop.
`

var txnLogOptions = []option{
	{short: 'c', long: "chop"}, {short: 'd', long: "dump"}, {short: 'h', long: "help"}, {short: 'r', long: "recover"},
	{short: 't', long: "test"}, {short: 'v', long: "verbose"}, {short: 'y', long: "yes"},
	{short: 'z', long: "zxid", hasValue: true},
}

// txnLogToolkit is org.apache.zookeeper.server.persistence.TxnLogToolkit.
func txnLogToolkit(args []string, o IO) int {
	p, err := parseOptions(txnLogOptions, args)
	switch {
	case err != nil:
		fmt.Fprintf(o.Err, "%v\n\n", err)
		fmt.Fprint(o.Out, txnLogHelp)
		return exitFailed
	case p.has('h'):
		fmt.Fprint(o.Out, txnLogHelp)
		return exitOK
	case len(p.args) == 0:
		fmt.Fprint(o.Out, txnLogHelp)
		return exitFailed
	}
	name := p.args[0]
	file, err := os.Open(name)
	if err != nil {
		return o.end(exitWith(exitFailed, "File doesn't exist or not readable: %s", name))
	}
	defer file.Close()
	switch {
	case p.has('c') && p.has('z'):
		return o.end(chop(name, file, p.values['z'], o))
	case p.has('t'):
		return o.end(testLog(name, o.Out))
	}
	d := dumper{in: logReader{in: bufio.NewReader(file), name: filepath.Base(name)}, out: o.Out, verbose: true}
	if p.has('r') {
		d.verbose = p.has('v')
		return o.end(d.recover(name, p.has('y'), bufio.NewReader(o.In)))
	}
	return o.end(d.dump())
}

const (
	logMagic = 0x5A4B4C47
	// maxRecordBytes is more than any server writes.
	maxRecordBytes = 256 << 20
)

// logReader reads the records of a log whatever their checksums.
type logReader struct {
	in   *bufio.Reader
	name string
}

// logHeader is the beginning of a log.
type logHeader struct {
	version int32
	dbid    int64
	bytes   [16]byte
}

func (r *logReader) header() (h logHeader, err error) {
	if _, err := io.ReadFull(r.in, h.bytes[:]); err != nil {
		return h, fmt.Errorf("%s: the file ends within its header", r.name)
	}
	if binary.BigEndian.Uint32(h.bytes[:]) != logMagic {
		return h, exitWith(exitInvalid, "Invalid magic number for %s", r.name)
	}
	h.version = int32(binary.BigEndian.Uint32(h.bytes[4:]))
	h.dbid = int64(binary.BigEndian.Uint64(h.bytes[8:]))
	return h, nil
}

func (h logHeader) String() string {
	return fmt.Sprintf("ZooKeeper Transactional Log File with dbid %d txnlog format version %d", h.dbid, h.version)
}

// record is a record as it stands in the file.
type record struct {
	crc uint64
	txn []byte
}

func (r record) intact() bool { return r.crc == uint64(adler32.Checksum(r.txn)) }

func (r record) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.crc)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.txn)))
	return append(append(b, r.txn...), 'B')
}

// next reads up to the end of the txn; io.EOF is the end of the records, which need not be that of the file.
func (r *logReader) next() (record, error) {
	var head [12]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return record{}, noPartial(err)
	}
	length := int32(binary.BigEndian.Uint32(head[8:]))
	switch {
	case length == 0:
		return record{}, io.EOF
	case length < 0 || length > maxRecordBytes:
		return record{}, fmt.Errorf("%s: unreasonable length = %d", r.name, length)
	}
	var b []byte
	for len(b) < int(length) { // no more is allocated than a few times what is there
		n := len(b)
		b = append(b, make([]byte, min(int(length)-n, max(n, 64<<10)))...)
		if _, err := io.ReadFull(r.in, b[n:]); err != nil {
			return record{}, noPartial(err)
		}
	}
	return record{binary.BigEndian.Uint64(head[:]), b}, nil
}

// end reads what follows the txn.
func (r *logReader) end() error {
	c, err := r.in.ReadByte()
	if err != nil {
		return fmt.Errorf("%s: the file ends within a record", r.name)
	}
	if c != 'B' {
		return exitWith(exitFailed, "Last transaction was partial.")
	}
	return nil
}

func noPartial(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// dumper prints the records of a log.
type dumper struct {
	in      logReader
	out     io.Writer
	verbose bool
	// fix decides whether a checksum is corrected; nil in dump mode. copy gets the records in recovery mode.
	fix    func(record) (bool, error)
	copy   io.Writer
	fixed  int
	opaque int // records that could not be shown
}

func (d *dumper) dump() error {
	h, err := d.in.header()
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out, h)
	if d.copy != nil {
		if _, err := d.copy.Write(h.bytes[:]); err != nil {
			return err
		}
	}
	for count := 0; ; count++ {
		r, err := d.in.next()
		if err == io.EOF {
			fmt.Fprintf(d.out, "EOF reached after %d txns.\n", count)
			break
		}
		if err == nil {
			err = d.one(r)
		}
		if err != nil {
			return err
		}
	}
	if d.opaque > 0 {
		return fmt.Errorf("%d txns cannot be read", d.opaque)
	}
	return nil
}

func (d *dumper) one(r record) error {
	if _, err := describe(r.txn); err != nil {
		d.opaque++
	}
	if !r.intact() {
		prefix := "CRC ERROR"
		fix := false
		if d.fix != nil {
			var err error
			if fix, err = d.fix(r); err != nil {
				return err
			}
		} else {
			d.print(r.txn, prefix)
		}
		if fix {
			r.crc = uint64(adler32.Checksum(r.txn))
			d.fixed++
		}
	}
	if d.verbose {
		d.print(r.txn, "")
	}
	if err := d.in.end(); err != nil || d.copy == nil {
		return err
	}
	_, err := d.copy.Write(r.append(nil))
	return err
}

func (d *dumper) print(b []byte, prefix string) {
	text, err := describe(b)
	if err != nil {
		text = fmt.Sprintf("(%d bytes that are no txn: %v)", len(b), err)
	}
	if prefix != "" {
		text = prefix + " - " + text
	}
	if strings.HasSuffix(text, "\n") {
		fmt.Fprint(d.out, text)
	} else {
		fmt.Fprintln(d.out, text)
	}
}

// recover copies the log with checksums corrected. Unlike that of Apache ZooKeeper the copy ends with its last record.
func (d *dumper) recover(name string, force bool, answers *bufio.Reader) error {
	target := name + ".fixed"
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return exitWith(exitFailed, "Recovery file %s already exists or not writable", target)
	}
	out := bufio.NewWriter(file)
	d.copy = out
	d.fix = func(r record) (bool, error) {
		if force {
			d.print(r.txn, "CRC FIXED")
			return true, nil
		}
		d.print(r.txn, "CRC ERROR")
		return d.ask(answers)
	}
	err = d.dump()
	if err := errors.Join(out.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "Recovery file %s has been written with %d fixed CRC error(s)\n", target, d.fixed)
	return nil
}

func (d *dumper) ask(answers *bufio.Reader) (bool, error) {
	for {
		fmt.Fprint(d.out, "Would you like to fix it (Yes/No/Abort) ? ")
		var answer string
		if _, err := fmt.Fscan(answers, &answer); err != nil {
			return false, fmt.Errorf("no answer: %w", err)
		}
		switch strings.ToUpper(answer[:1]) {
		case "Y":
			return true, nil
		case "N":
			return false, nil
		case "A":
			return false, exitWith(exitOK, "Recovery aborted.")
		}
	}
}

// chop copies a log up to a zxid. What goes wrong is told, and is no failure, as in Apache ZooKeeper.
func chop(name string, file io.Reader, zxidText string, o IO) error {
	zxid, err := strconv.ParseInt(zxidText, 0, 64)
	if err != nil || zxid < 0 {
		return fmt.Errorf("zxid %q: give a number, such as 0x100000001", zxidText)
	}
	target, err := os.Create(fmt.Sprintf("%s.chopped%d", name, zxid))
	if err != nil {
		fmt.Fprintln(o.Out, "Got exception:", err)
		return nil
	}
	w := bufio.NewWriter(target)
	c := chopper{in: logReader{in: bufio.NewReader(file), name: filepath.Base(name)}, out: o.Out, copy: w, zxid: wire.Zxid(zxid)}
	chopped, err := c.run()
	if errors.As(err, new(*exit)) {
		fmt.Fprintln(o.Err, err)
		err = nil
	}
	switch {
	case err != nil:
		fmt.Fprintln(o.Out, "Got exception:", err)
	case !chopped:
		fmt.Fprintln(o.Out, "Got exception: Failed to chop", filepath.Base(name))
	}
	return errors.Join(w.Flush(), target.Sync(), target.Close())
}

type chopper struct {
	in       logReader
	out      io.Writer
	copy     io.Writer
	zxid     wire.Zxid
	previous wire.Zxid
	count    int
	has      bool // the zxid was met
}

// run is org.apache.zookeeper.server.util.LogChopper.chop.
func (c *chopper) run() (bool, error) {
	h, err := c.in.header()
	if err != nil {
		return false, err
	}
	fmt.Fprintln(c.out, h)
	if _, err := c.copy.Write(h.bytes[:]); err != nil {
		return false, err
	}
	for {
		r, err := c.in.next()
		if err == io.EOF {
			fmt.Fprintf(c.out, "EOF reached after %d txns.\n", c.count)
			return false, nil // nothing was chopped
		}
		if err != nil {
			return false, err
		}
		if !r.intact() {
			return false, fmt.Errorf("CRC doesn't match %d vs %d", r.crc, adler32.Checksum(r.txn))
		}
		header, err := txn.DecodeHeader(r.txn)
		if err != nil {
			return false, err
		}
		if err := c.in.end(); err != nil {
			fmt.Fprintln(c.out, "Last transaction was partial.")
			return false, err
		}
		if done, chopped := c.passes(header.Zxid); done {
			return chopped, nil
		}
		if _, err := c.copy.Write(r.append(nil)); err != nil {
			return false, err
		}
		c.count++
	}
}

// passes notes a txn and tells whether the chopped log ends before it.
func (c *chopper) passes(zxid wire.Zxid) (done, chopped bool) {
	c.has = c.has || zxid == c.zxid
	switch {
	case c.previous == 0 || zxid == c.previous+1:
	case zxid.Epoch() == c.previous.Epoch():
		fmt.Fprintf(c.out, "There is intra-epoch gap between %x and %x\n", int64(c.previous), int64(zxid))
	case zxid.Counter() != 1:
		fmt.Fprintf(c.out, "There is inter-epoch gap between %x and %x\n", int64(c.previous), int64(zxid))
	}
	c.previous = zxid
	switch {
	case zxid <= c.zxid:
		return false, false
	case c.count == 0 || !c.has:
		fmt.Fprintf(c.out, "This log does not contain zxid %x\n", int64(c.zxid))
		return true, false
	}
	fmt.Fprintf(c.out, "Chopping at %x new log has %d records\n", int64(c.zxid), c.count)
	return true, true
}

// testLog reads a log as a server does when it starts.
func testLog(name string, out io.Writer) error {
	r, err := txnlog.OpenReader(vfs.OS, name)
	if err != nil {
		return err
	}
	defer r.Close()
	count := 0
	var first, last wire.Zxid
	for {
		e, err := r.Next()
		if err == io.EOF {
			fmt.Fprintf(out, "%s: %d txns, 0x%x to 0x%x, clean end\n", name, count, int64(first), int64(last))
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %d txns, 0x%x to 0x%x, then %w", name, count, int64(first), int64(last), err)
		}
		if count == 0 {
			first = e.Header.Zxid
		}
		last = e.Header.Zxid
		count++
	}
}
