package store

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

const (
	maxZxid = wire.Zxid(math.MaxInt64)
	// recentLimit is how many txns are handed over for learners that missed a few.
	recentLimit = zab.HistoryLimit
)

// ErrIncomplete says that what is on disk is no whole history.
var ErrIncomplete = errors.New("the history on disk is not complete")

// remedy tells an operator what to do about a disk that cannot be read back.
func (s *Store) remedy() string {
	where := s.snapDir
	if s.logDir != s.snapDir {
		where += " and " + s.logDir
	}
	return "if the other members are a healthy majority, move log.*, snapshot.* and currentEpoch out of " + where +
		", leave acceptedEpoch, and start this one again, it will fetch the state from them; a single server needs a backup"
}

// advise adds the remedy to an error that says that the disk cannot be read back.
func (s *Store) advise(err error) error {
	if errors.Is(err, ErrIncomplete) || errors.Is(err, txnlog.ErrCorrupt) {
		return fmt.Errorf("%w; %s", err, s.remedy())
	}
	return err
}

// begin writes the snapshot of an empty state where there is none.
func (s *Store) begin() error {
	snapshots, err := s.snapshots()
	if err != nil || len(snapshots) > 0 {
		return err
	}
	logged, err := s.logged()
	switch {
	case err != nil:
		return err
	case logged && !s.opts.TrustEmpty:
		return fmt.Errorf("%s has transactions, but %s no snapshot that they could follow: %w; if the logs are known to begin with the very first transaction, set snapshot.trust.empty=true for one start", s.logDir, s.snapDir, ErrIncomplete)
	case !logged:
		if err := s.disclaimEpoch(); err != nil {
			return err
		}
	}
	if blank, err := s.blank(); err != nil || blank {
		return err
	}
	return s.WriteSnapshot(tree.New(s.opts.Tree), 0)
}

// blank tells whether there is no data, and may have been some.
func (s *Store) blank() (bool, error) {
	if !s.opts.NoEmptyDB {
		return false, nil
	}
	if snapshots, err := s.snapshots(); err != nil || len(snapshots) > 0 {
		return false, err
	}
	if logged, err := s.logged(); err != nil || logged {
		return false, err
	}
	initialized, err := s.initialized()
	return !initialized, err
}

// logged tells whether any log has a txn. A power loss may leave a log without any.
func (s *Store) logged() (bool, error) {
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return false, err
	}
	for _, z := range logs {
		r, err := txnlog.OpenReader(s.fs, path.Join(s.logDir, txnlog.Name(z)))
		if err != nil {
			return false, err
		}
		_, err = r.Next()
		if err := r.Close(); err != nil {
			return false, err
		}
		if err != io.EOF && !errors.Is(err, txnlog.ErrTorn) {
			return true, nil
		}
	}
	return false, nil
}

// Reload reads the state back; what was appended before is part of it.
func (s *Store) Reload() (*node.Database, error) {
	if err := s.Roll(); err != nil {
		return nil, err
	}
	got, err := s.recover(maxZxid)
	if err != nil {
		return nil, s.writes(s.advise(err))
	}
	s.restart(got.db.LastZxid, got.ours())
	return got.db, nil
}

// recover builds the state up to zxid from the newest snapshot that can be read and holds nothing above, and the logs.
func (s *Store) recover(upTo wire.Zxid) (*replay, error) {
	p := &replay{s: s, upTo: upTo, missing: make(map[wire.Zxid]string), repeated: repetition{seed: maphash.MakeSeed()}}
	began := time.Now()
	if blank, err := s.blank(); err != nil {
		return nil, err
	} else if blank {
		s.opts.Log.Warn("there is no data, and no file " + InitializeFile + ": this server does not vote before the others have sent it theirs")
		p.db = &node.Database{Tree: tree.New(s.opts.Tree), Blank: true}
		return p, nil
	}
	base, err := p.start()
	if err != nil {
		return nil, err
	}
	read := time.Now()
	s.opts.Metrics.StartupSnapLoadTime.Took(read.Sub(began))
	p.base = base.Tree.LastZxid()
	p.exact = max(p.base, base.Newest)
	p.db = &node.Database{Tree: base.Tree, LastZxid: p.base}
	if err := p.run(); err != nil {
		return nil, p.blame(err)
	}
	s.opts.Metrics.StartupTxnsLoaded.Add(p.applied)
	s.opts.Metrics.StartupTxnsLoadTime.Took(time.Since(read))
	if p.exact > p.db.LastZxid && upTo == maxZxid {
		// Written by another program, which did not wait for the log. The ensemble has these txns, and will send them.
		s.opts.Log.Warn("snapshot shows transactions that the log does not have", "zxid", p.exact)
	}
	return p, nil
}

// replay applies what the logs hold above a snapshot. What it reads is made durable, since it counts from now on: a
// process that died may have left it in the memory of the machine only.
type replay struct {
	s          *Store
	from       snapshotFile
	base, upTo wire.Zxid
	// exact is where the tree has caught up with all that the snapshot shows: from then on digests must agree.
	exact  wire.Zxid
	differ bool // digests did not
	// applied counts the txns above the snapshot.
	applied int64
	// missing are snapshots that cannot be read. The history must come through each of them.
	missing map[wire.Zxid]string
	db      *node.Database
	// damage is how a file before the present one ended, if not cleanly; the worst there is. It is no matter if the next one
	// goes on with the very next txn: then nothing is missing.
	damage error
	// unfinished are the files behind the last txn so far whose ends are torn.
	unfinished []unfinished
	// doubt is damage behind which a new epoch goes on. Its first txn can follow any other; whether one is missing in
	// between shows its digest only.
	doubt error
	// repeated is about logs of Apache ZooKeeper that go back.
	repeated repetition
}

// unfinished is a log whose end is torn.
type unfinished struct {
	name      string
	sizeBytes int64 // of what is whole
	damage    error
}

// blame names the damaged snapshots that made older ones necessary.
func (p *replay) blame(err error) error {
	if len(p.missing) == 0 || !errors.Is(err, ErrIncomplete) && !errors.Is(err, txnlog.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w; damaged are %s", err, strings.Join(slices.Sorted(maps.Values(p.missing)), " and "))
}

// start reads the newest snapshot that can be used.
func (p *replay) start() (snap.Snapshot, error) {
	s := p.s
	snapshots, err := s.snapshots()
	if err != nil {
		return snap.Snapshot{}, err
	}
	var reasons error
	for _, f := range snapshots {
		if f.zxid > p.upTo {
			continue
		}
		got, err := s.readSnapshot(f)
		switch {
		case err != nil && !errors.Is(err, snap.ErrInvalid):
			return got, err
		case err != nil:
			s.opts.Log.Warn("damaged snapshot is passed over", "file", path.Join(s.snapDir, f.name()), "error", err)
			p.missing[f.zxid] = f.name()
			reasons = errors.Join(reasons, err)
		case p.upTo != maxZxid && (got.Newest < 0 || got.Newest > p.upTo):
			// It may show effects of what is to be removed.
		default:
			p.from = f
			delete(p.missing, f.zxid) // the same, compressed in another way
			// Another program may have written it without a sync, and what is read counts from now on.
			if err := s.syncFile(path.Join(s.snapDir, f.name())); err != nil {
				return got, err
			}
			return got, s.fs.SyncDir(s.snapDir)
		}
	}
	return snap.Snapshot{}, fmt.Errorf("%s: no snapshot can be used: %w", s.snapDir, errors.Join(ErrIncomplete, reasons))
}

// ours is where the part of the logs begins that is certainly of the history read back: what follows the snapshot, and of
// what it holds the txns of its last epoch, which all come from one leader. Older ones could be from a branch that lost.
func (p *replay) ours() wire.Zxid {
	if p.base.Counter() == 0 {
		return p.base
	}
	return wire.MakeZxid(p.base.Epoch(), 0)
}

func (p *replay) run() error {
	s := p.s
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return err
	}
	first := 0 // the log that the first txn above the snapshot can be in
	for i, z := range logs {
		if z <= p.base {
			first = i
		}
	}
	if first > 0 {
		p.remember(logs[first-1])
	}
	for i := first; i < len(logs) && logs[i] <= p.upTo; i++ {
		name := path.Join(s.logDir, txnlog.Name(logs[i]))
		if err := p.file(name); err != nil {
			return err
		}
	}
	if errors.Is(p.damage, txnlog.ErrCorrupt) && p.db.LastZxid < p.upTo {
		return p.damage
	}
	if err := p.repeated.end(); err != nil {
		return errors.Join(err, p.damage)
	}
	for z, name := range p.missing {
		if z.Counter() > 0 || z > p.db.LastZxid { // no transaction has counter 0
			return fmt.Errorf("%s is damaged, and what the older snapshots and the logs hold does not lead to %v: %w", path.Join(s.snapDir, name), z, ErrIncomplete)
		}
	}
	if err := p.cut(); err != nil {
		return err
	}
	return s.fs.SyncDir(s.logDir)
}

// cut takes the torn ends off behind which nothing has been written. A file that is to follow says by its existence that
// those before it are whole; and Apache ZooKeeper would not read beyond a wrong checksum.
func (p *replay) cut() error {
	if p.upTo != maxZxid {
		return p.leave()
	}
	for _, u := range p.unfinished {
		p.s.opts.Log.Warn("unfinished end of the log is cut off", "error", u.damage)
		if err := p.s.cut(u.name, u.sizeBytes); err != nil {
			return err
		}
	}
	return nil
}

// leave makes the files durable whose torn ends stay: others follow them, or are to be cut.
func (p *replay) leave() error {
	for _, u := range p.unfinished {
		if err := p.s.syncFile(u.name); err != nil {
			return err
		}
	}
	p.unfinished = nil
	return nil
}

// remember reads an older log for learners that missed what is in it. It is not needed otherwise.
func (p *replay) remember(z wire.Zxid) {
	r, err := txnlog.OpenReader(p.s.fs, path.Join(p.s.logDir, txnlog.Name(z)))
	if err != nil {
		return
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err != nil {
			return
		}
		p.passed(e)
	}
}

// passed keeps a txn that the snapshot holds. Of an earlier epoch it could be from a branch that lost, before the
// snapshot came.
func (p *replay) passed(e txn.Entry) {
	if z := e.Header.Zxid; z <= p.base && z.Epoch() == p.base.Epoch() {
		p.recent(e)
	}
}

// recent keeps the last txns, each once.
func (p *replay) recent(e txn.Entry) {
	if n := len(p.db.Recent); n > 0 && e.Header.Zxid <= p.db.Recent[n-1].Header.Zxid {
		return
	}
	if len(p.db.Recent) >= 2*recentLimit {
		p.db.Recent = append(p.db.Recent[:0:0], p.db.Recent[len(p.db.Recent)-recentLimit:]...)
	}
	p.db.Recent = append(p.db.Recent, e)
}

func (p *replay) file(name string) error {
	r, err := txnlog.OpenReader(p.s.fs, name)
	if err != nil {
		return err
	}
	damage, err := p.records(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if damage == nil {
		return p.s.syncFile(name)
	}
	damage = fmt.Errorf("%s: %w", name, damage)
	switch {
	case errors.Is(p.damage, txnlog.ErrCorrupt):
	case errors.Is(p.damage, txnlog.ErrChanged) && !errors.Is(damage, txnlog.ErrCorrupt):
	default:
		p.damage = damage
	}
	if errors.Is(damage, txnlog.ErrTorn) {
		p.unfinished = append(p.unfinished, unfinished{name, r.End(), damage})
		return nil
	}
	return p.s.syncFile(name)
}

// records applies the records of a file up to upTo. If they end with damage, it says how.
func (p *replay) records(r *txnlog.Reader) (damage, err error) {
	for {
		e, err := r.Next()
		if err == nil {
			if err := p.leave(); err != nil {
				return nil, err
			}
		}
		switch zxid := e.Header.Zxid; {
		case err == io.EOF:
			return nil, nil
		case errors.Is(err, txnlog.ErrTorn), errors.Is(err, txnlog.ErrCorrupt):
			return err, nil
		case err != nil:
			return nil, err
		case zxid > p.upTo:
			return nil, nil
		case zxid <= p.base:
			p.passed(e)
		case zxid <= p.db.LastZxid:
			if err := p.repeated.again(e); err != nil {
				return nil, errors.Join(err, p.damage)
			}
		default:
			if err := p.apply(e); err != nil {
				return nil, err
			}
		}
	}
}

func (p *replay) apply(e txn.Entry) error {
	zxid := e.Header.Zxid
	if err := p.repeated.end(); err != nil {
		return errors.Join(fmt.Errorf("before transaction %v: %w", zxid, err), p.damage)
	}
	switch {
	case errors.Is(p.damage, txnlog.ErrCorrupt) && zxid != p.db.LastZxid+1:
		return p.damage
	case !zab.Follows(p.db.LastZxid, zxid):
		return errors.Join(fmt.Errorf("transaction %v comes after %v: %w", zxid, p.db.LastZxid, ErrIncomplete), p.damage)
	case errors.Is(p.damage, txnlog.ErrChanged) && zxid != p.db.LastZxid+1:
		return fmt.Errorf("%w, and transaction %v follows in another log: %w", p.damage, zxid, txnlog.ErrCorrupt)
	case p.damage != nil:
		p.s.opts.Log.Info("the next log continues what another left unfinished", "error", p.damage, "zxid", zxid)
		if zxid != p.db.LastZxid+1 {
			p.doubt = p.damage
		}
		p.damage = nil
	}
	p.db.Tree.Apply(e.Header, e.Record, nil)
	p.db.LastZxid = zxid
	p.applied++
	delete(p.missing, zxid)
	p.repeated.add(e)
	p.recent(e)
	return p.compare(e)
}

// compare looks at the digest that a txn carries. Apache ZooKeeper goes on when it differs, as it can for reasons of its
// own, but not for the first txn of all: one that begins an epoch could come after many that are gone.
func (p *replay) compare(e txn.Entry) error {
	zxid, doubt := e.Header.Zxid, p.doubt
	p.doubt = nil
	if p.s.opts.Tree.NoDigest || e.Digest == nil || e.Digest.Version != tree.DigestVersion || zxid < p.exact || p.differ || e.Digest.Tree == p.db.Tree.Digest() {
		return nil
	}
	p.differ = true
	if doubt != nil {
		return fmt.Errorf("transactions before %v are missing: %w: %w", zxid, ErrIncomplete, doubt)
	}
	if p.base == 0 && len(p.db.Recent) == 1 {
		return fmt.Errorf("transaction %v does not come after an empty state: %w", zxid, ErrIncomplete)
	}
	p.s.opts.Log.Warn("digest of the tree differs from that of the leader", "zxid", zxid)
	return nil
}
