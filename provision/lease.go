package provision

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
	"github.com/zkctl/zkctl/templates"
)

// The lock of an ensemble.
//
// Each host has a directory of generations: files named 1, 2, 3, … that say who has the lock until when, by the host's
// clock. To take the lock is to make the next generation, by a hard link, which only one can do, and only where the
// last one has ended. Who has made it on a majority of the hosts has the lock; it is renewed while the operation lasts,
// and ends by itself soon after a zkctl that was cut off. A holder that could not renew it in time, by its own
// clock, makes no further change; and the scripts that change something as root look for a later generation first.

// DefaultLease is how long a lock lasts that is not renewed.
const DefaultLease = 60 * time.Second

// LockedError says that somebody else has the lock.
type LockedError struct {
	Holder string
	Since  time.Time
	Hosts  []string
}

// Error names the holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("the ensemble is locked by %s since %s (on %s)", e.Holder, e.Since.UTC().Format(time.RFC3339), strings.Join(e.Hosts, ", "))
}

// Hint says what to do.
func (e *LockedError) Hint() string {
	return "wait until that has ended; zkctl lock show tells more; zkctl lock break ends a lock whose holder is gone"
}

// ErrLostLock is why an operation is ended that could not renew its lock in time.
var ErrLostLock = errors.New("the lock could not be renewed in time: somebody else may be at work now, so nothing more is changed")

// lockFunctions get $dir, the lock's directory, from their caller.
const lockFunctions = `
# top: sets t to the latest generation, 0 if there is none.
top() {
	t=0
	for f in "$dir"/[0-9]*; do
		f=${f##*/}
		case $f in *[!0-9]*) continue ;; esac
		[ "$f" -gt "$t" ] && t=$f
	done
}
# says KEY GENERATION: sets said.
says() {
	said=
	[ ! -f "$dir/$2" ] || while IFS= read -r l || [ -n "$l" ]; do case $l in "$1="*) said=${l#*=}; return ;; esac; done 2>/dev/null <"$dir/$2"
}
tell() {
	field lock.generation "$1"
	[ ! -f "$dir/$1" ] || while IFS= read -r l || [ -n "$l" ]; do
		case $l in holder=*|since=*|until=*|token=*) field "lock.${l%%=*}" "${l#*=}" ;; esac
	done 2>/dev/null <"$dir/$1"
	field lock.now "${now:-$(date +%s)}"
}
flush() { sync -- "$1" 2>/dev/null || sync; }
# clock: sets now, in seconds, and today, for the history.
clock() { today=$(date -u '+%s %Y-%m-%dT%H:%M:%SZ'); now=${today%% *} today=${today#* }; }
crumb() { printf '%s %s\n' "$today" "$1" >>"${dir%/*}/history" 2>/dev/null || :; }
`

// acquireScript gets the directory, a token, the lease in seconds, the holder, what to write into the history, and the
// token of a holder that is known to be gone.
const acquireScript = `
dir=$1 token=$2 lease=$3 holder=$4 gone=$6
[ -d "$dir" ] || { mkdir -p -- "$dir" && chmod 0700 "${dir%/*}" "$dir"; } || exit 1
clock
top
if [ "$t" -gt 0 ]; then
	says until "$t"; until=$said
	says token "$t"
	if [ "${until:-0}" -gt "$now" ]; then case $said in "$gone" | "$gone"+*) ;; *) tell "$t"; exit 0 ;; esac; fi
fi
next=$((t + 1))
printf 'token=%s\nholder=%s\nsince=%s\nuntil=%s\n' "$token" "$holder" "$now" "$((now + lease))" >"$dir/.$token" || exit 1
flush "$dir/.$token"
if ln "$dir/.$token" "$dir/$next" 2>/dev/null && { top; [ "$t" = "$next" ]; }; then
	rm -f "$dir/.$token"
	flush "$dir"
	for f in "$dir"/[0-9]*; do [ "${f##*/}" -ge "$next" ] || rm -f "$f"; done
	field lock.mine "$next"
	crumb "$5"
else
	rm -f "$dir/.$token"
	says token "$next"; [ "$said" != "$token" ] || rm -f "$dir/$next"
	top; tell "$t"
fi
`

// renewScript gets the directory, the token, the lease (0 gives the lock back), the generation, and what to write into
// the history.
const renewScript = `
dir=$1 token=$2 lease=$3 mine=$4
top; says token "$mine"
[ "$t" = "$mine" ] && [ "$said" = "$token" ] || { tell "$t"; exit 0; }
clock
until=0
[ "$lease" = 0 ] || until=$((now + lease))
says holder "$mine"; holder=$said
says since "$mine"
printf 'token=%s\nholder=%s\nsince=%s\nuntil=%s\n' "$token" "$holder" "$said" "$until" >"$dir/.$token" &&
	mv -f "$dir/.$token" "$dir/$mine" || exit 1
field lock.mine "$mine"
[ -z "$5" ] || crumb "$5"
`

// renewLabel is the label of a renewal, which is no round trip of the operation.
const renewLabel = "renew the lock"

// lockFragment reports a lock, for hostprep.Wanted.Extra.
func lockFragment(dir string) string {
	return lockFunctions + "dir=" + shell.Quote(dir) + "\nif [ -d \"$dir\" ]; then top; tell \"$t\"; fi\n"
}

func (r *Run) lockDir(h inventory.Host) string { return path.Join(r.stateDir(h), "lock") }

// lease is a lock that is held.
type lease struct {
	token       string
	hosts       []inventory.Host
	generations map[string]int // by host
	end         context.CancelFunc
	renewed     sync.WaitGroup

	mu   sync.Mutex
	good time.Time // until then nobody else can have it
}

// tokenOn is that of the lock on one of its hosts: what is there under another name of the machine shows.
func (l *lease) tokenOn(h inventory.Host) string {
	return fmt.Sprintf("%s+%d", l.token, slices.IndexFunc(l.hosts, func(o inventory.Host) bool { return o.Name == h.Name }))
}

func (l *lease) lasts(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good = until
}

// ended reports whether somebody else may have the lock by now. While this machine sleeps only one of its two clocks goes
// on, and no timer runs out.
func (l *lease) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return now.After(l.good) || now.Round(0).After(l.good.Round(0))
}

// HostLock is what one host says about the lock.
type HostLock struct {
	Host       string    `json:"host"`
	Generation int       `json:"generation"`
	Holder     string    `json:"holder,omitempty"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	// Held says that it has not ended.
	Held  bool   `json:"held"`
	Error string `json:"error,omitempty"`
	Cause error  `json:"-"` // of Error
	token string
}

func readLock(host string, f remote.Fields) HostLock {
	number := func(name string) int64 { n, _ := strconv.ParseInt(f.Text(name), 10, 64); return n }
	l := HostLock{Host: host, Generation: int(number("lock.generation")), Holder: f.Text("lock.holder"), token: f.Text("lock.token"),
		Since: time.Unix(number("lock.since"), 0).UTC(), Until: time.Unix(number("lock.until"), 0).UTC()}
	l.Held = l.Generation > 0 && number("lock.until") > number("lock.now")
	return l
}

// lockHosts are the hosts that hold the lock: one for each machine of the ensemble.
func (r *Run) lockHosts() []inventory.Host {
	members := make([]member, len(r.Inventory.Hosts))
	for i, h := range r.Inventory.Hosts {
		members[i].Host = h
	}
	var hosts []inventory.Host
	for _, m := range machines(members) {
		hosts = append(hosts, m.Host)
	}
	return hosts
}

// locked runs f with the lock of the ensemble. ctx of f ends when the lock is lost. seen are the generations that were
// seen when f was decided upon, by host, where f changes more than whether servers run; raced is called before f if somebody has had the lock since.
func (r *Run) locked(ctx context.Context, seen map[string]int, raced func(context.Context) error, f func(context.Context) error) (err error) {
	if r.DryRun || r.lease != nil {
		return f(ctx)
	}
	changed := false
	if changed, err = r.acquire(ctx, seen); err != nil {
		return err
	}
	held, lost := context.WithCancelCause(ctx)
	renewing, end := context.WithCancel(held)
	r.lease.end = end
	r.lease.renewed.Go(func() { r.keepLease(renewing, lost) })
	defer func() {
		end()
		r.lease.renewed.Wait()
		outcome := "ok"
		if err != nil {
			outcome, _, _ = strings.Cut("failed: "+err.Error(), "\n")
		}
		r.release(ctx, outcome)
		lost(nil)
	}()
	if changed && raced != nil {
		if err := raced(held); err != nil {
			return err
		}
	}
	err = f(held)
	if context.Cause(held) == ErrLostLock && err == nil {
		err = ErrLostLock
	}
	return err
}

// acquire takes the lock on a majority of the hosts.
func (r *Run) acquire(ctx context.Context, seen map[string]int) (changed bool, err error) {
	hosts := r.lockHosts()
	gone := "nobody"
	for attempt := 0; ; attempt++ {
		l := &lease{token: newToken(), hosts: hosts, generations: map[string]int{}}
		l.lasts(time.Now().Add(r.leaseTime() * 4 / 5))
		held := make([]*HostLock, len(hosts))
		take := func(which []int, gone func(i int) string) []error {
			some := make([]inventory.Host, len(which))
			for n, i := range which {
				some[n] = hosts[i]
			}
			return r.askLocks(ctx, some, func(n int) remote.Command {
				return remote.Command{Label: "take the lock", Script: lockFunctions + acquireScript,
					Args: []string{r.lockDir(some[n]), l.tokenOn(some[n]), strconv.Itoa(int(r.leaseTime().Seconds())), r.Holder, r.crumb("begins"), gone(which[n])}}
			}, func(n int, f remote.Fields) bool {
				i := which[n]
				held[i] = nil
				if g, err := strconv.Atoi(f.Text("lock.mine")); err == nil {
					l.generations[hosts[i].Name] = g
				} else if h := readLock(hosts[i].Name, f); h.token == l.tokenOn(hosts[i]) && h.Held {
					l.generations[hosts[i].Name] = h.Generation // the answer was lost with the connection, and the question repeated
				} else {
					held[i] = &h
				}
				return len(l.generations) >= len(hosts)/2+1
			})
		}
		all := make([]int, len(hosts))
		for i := range all {
			all[i] = i
		}
		errs := take(all, func(int) string { return gone })
		if err := context.Cause(ctx); err != nil {
			r.lease = l
			r.release(ctx, "interrupted")
			return false, err
		}
		unreachable := 0
		var unwritten []error // of hosts where the lock cannot be written, such as those with a full disk
		needed := false       // one of them is going to be changed: then it is better to change nothing anywhere
		for i, err := range errs {
			if remote.NeverRan(err) || errors.Is(err, context.Canceled) {
				unreachable++
			} else if err != nil {
				unwritten = append(unwritten, err)
				_, changes := seen[hosts[i].Name]
				needed = needed || changes && r.within(hosts[i])
			}
		}
		if i := slices.IndexFunc(held, func(h *HostLock) bool { return h != nil && strings.HasPrefix(h.token, l.token+"+") }); i >= 0 {
			r.lease = l
			r.release(ctx, "failed: one machine has two names")
			return false, &RefusedError{Host: hosts[i].Name, Text: "the same machine has another name in the inventory, too: the lock that was made under one is there under the other",
				Remedy: "correct the address of one of them; members that are to share a machine have the same address"}
		}
		mine, majority := len(l.generations), len(hosts)/2+1
		if mine >= majority && !needed {
			if err := r.takeRest(ctx, l, held, take); err != nil {
				r.lease = l
				r.release(ctx, "did not get the lock")
				return false, err
			}
		}
		if mine >= majority && !needed || mine > 0 && mine+unreachable == len(hosts) {
			if mine < majority {
				r.report(Event{Kind: Warning, Step: "lock", Text: fmt.Sprintf(
					"the lock is held on %d of %d hosts only: the others cannot be reached, and who reaches them does not see it", mine, len(hosts))})
			}
			if unwritten != nil {
				r.report(Event{Kind: Warning, Step: "lock", Text: fmt.Sprintf("the lock is held by the other hosts: %v", joined(unwritten))})
			}
			r.lease = l
			for h, g := range l.generations {
				if s, ok := seen[h]; ok && g != s+1 {
					changed = true
				}
			}
			return changed, nil
		}
		r.lease = l
		if unwritten != nil {
			r.release(ctx, "failed: the lock cannot be written")
			return false, joined(unwritten)
		}
		r.release(ctx, "did not get the lock")
		locked := &LockedError{}
		byHolder := map[string]int{}
		for _, h := range held {
			if h != nil {
				byHolder[h.Holder]++
				locked.Holder, locked.Since = h.Holder, h.Since
				locked.Hosts = append(locked.Hosts, h.Host)
			}
		}
		if mine == 0 && len(locked.Hosts) == 0 {
			return false, joined(errs)
		}
		if i := slices.IndexFunc(held, func(h *HostLock) bool { return h != nil && !strings.HasPrefix(h.token, gone) && holderIsGone(h.token) }); i >= 0 {
			gone, _, _ = strings.Cut(held[i].token, "+")
			r.note("lock", "", "the run of %s is gone: its lock is taken over", held[i].Holder)
			continue
		}
		// Two that began at the same moment may have divided the hosts between them.
		if byHolder[locked.Holder] >= majority || mine == 0 || attempt == 4 {
			return false, locked
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(time.Duration(50+time.Now().UnixNano()%200) * time.Millisecond):
		}
	}
}

// takeRest takes the lock on the other hosts, too, where somebody else has it: who came too late gives it back at once, and who is gone
// does not need it. One whom nobody else can be reached by may be at work on such a host for as long as he likes.
func (r *Run) takeRest(ctx context.Context, l *lease, held []*HostLock, take func(which []int, gone func(i int) string) []error) error {
	for try := 0; ; try++ {
		var rest []int
		locked := &LockedError{}
		for i, h := range held {
			if h != nil && r.within(l.hosts[i]) {
				rest = append(rest, i)
				locked.Holder, locked.Since, locked.Hosts = h.Holder, h.Since, append(locked.Hosts, h.Host)
			}
		}
		switch {
		case rest == nil:
			return nil
		case try == 20:
			return locked
		case try > 0:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(100 * time.Millisecond):
			}
		}
		was := slices.Clone(held)
		take(rest, func(i int) string {
			if !holderIsGone(was[i].token) {
				return "nobody"
			}
			token, _, _ := strings.Cut(was[i].token, "+")
			return token
		})
	}
}

func (r *Run) leaseTime() time.Duration {
	if r.Lease > 0 {
		return r.Lease
	}
	return DefaultLease
}

// crumb is a line for the history of a host.
func (r *Run) crumb(what string) string {
	return fmt.Sprintf("%s %s: %s by %s, zkctl %s", r.ID, r.Verb, what, r.Holder, r.Version)
}

// askLocks runs a command on all hosts at once, and hands on what it reported, one host at a time.
//
// got returns whether that is enough: then the others have a moment left, so that a host which is off delays nobody.
func (r *Run) askLocks(ctx context.Context, hosts []inventory.Host, command func(i int) remote.Command, got func(i int, f remote.Fields) bool) []error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(hosts))
	var mu sync.Mutex
	hurried := false
	var group sync.WaitGroup
	for i, h := range hosts {
		group.Go(func() {
			host, err := r.host(h)
			if err == nil {
				cmd := command(i)
				cmd.Root = privileged(templates.Member{Host: h})
				cmd.Script = remote.FieldsScript + cmd.Script
				cmd.Timeout = 20 * time.Second
				var res remote.Result
				run := host.Run
				if cmd.Label == renewLabel {
					run = host.Host.Run // they come by time, so a slow host has more of them
				}
				if res, err = run(ctx, cmd); err == nil {
					var f remote.Fields
					if f, err = remote.ParseFields(res.Stdout); err == nil {
						mu.Lock()
						defer mu.Unlock()
						if got(i, f) && !hurried {
							hurried = true
							time.AfterFunc(time.Second, cancel)
						}
					}
				}
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errs
}

// keepLease renews the lock until ctx ends, and calls lost when that did not work in time.
func (r *Run) keepLease(ctx context.Context, lost context.CancelCauseFunc) {
	period := r.leaseTime()
	good := time.Now().Add(period * 4 / 5)
	tick := time.NewTicker(period / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		limited, cancel := context.WithDeadline(ctx, good)
		renewed := r.renew(limited, int(period.Seconds()), "")
		cancel()
		if ctx.Err() != nil {
			return
		}
		if renewed >= len(r.lease.generations)/2+1 {
			good = asked.Add(period * 4 / 5)
			r.lease.lasts(good)
		} else if time.Now().After(good) || renewed < 0 {
			lost(ErrLostLock)
			return
		}
	}
}

// renew renews the lock, or gives it back with 0 seconds. The result is the number of hosts where that worked; below 0
// if somebody else has taken it.
func (r *Run) renew(ctx context.Context, seconds int, crumb string) int {
	l := r.lease
	var hosts []inventory.Host
	for _, h := range l.hosts {
		if l.generations[h.Name] > 0 {
			hosts = append(hosts, h)
		}
	}
	n, taken := 0, 0
	label := renewLabel
	if seconds == 0 {
		label = "give the lock back"
	}
	r.askLocks(ctx, hosts, func(i int) remote.Command {
		return remote.Command{Label: label, Script: lockFunctions + renewScript,
			Args: []string{r.lockDir(hosts[i]), l.tokenOn(hosts[i]), strconv.Itoa(seconds), strconv.Itoa(l.generations[hosts[i].Name]), crumb}}
	}, func(_ int, f remote.Fields) bool {
		if f.Has("lock.mine") {
			n++
		} else {
			taken++
		}
		return n >= len(l.generations)/2+1
	})
	if taken > 0 && n < len(l.generations)/2+1 {
		return -1
	}
	return n
}

// release gives the lock back, also after an interruption. Where that fails it ends by itself.
func (r *Run) release(ctx context.Context, outcome string) {
	if len(r.lease.generations) > 0 {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		r.renew(limited, 0, r.crumb(outcome))
	}
	r.lease = nil
}

// fence is script that ends with an error where somebody has taken the lock since; in front of each script that changes something.
func (r *Run) fence(h inventory.Host) string {
	if r.lease == nil {
		return ""
	}
	// Members on one machine have one lock.
	for _, first := range r.lease.hosts {
		if len(machines([]member{{Member: templates.Member{Host: first}}, {Member: templates.Member{Host: h}}})) != 1 {
			continue
		}
		g := r.lease.generations[first.Name]
		if g == 0 { // it was too late to count
			return fmt.Sprintf(`dir=%s%s
clock; top; says until "$t"; until=${said:-0}; says token "$t"
[ "$until" -le "$now" ] || [ "$said" = %s ] || { echo "somebody else has the lock here: nothing was done" >&2; exit 1; }
`, shell.Quote(r.lockDir(first)), lockFunctions, shell.Quote(r.lease.tokenOn(first)))
		}
		return fmt.Sprintf(`for f in %s/[0-9]*; do
	case ${f##*/} in *[!0-9]*) continue ;; esac
	[ "${f##*/}" -le %d ] || { echo "somebody else has taken the lock: nothing was done" >&2; exit 1; }
done
`, shell.Quote(r.lockDir(first)), g)
	}
	return ""
}

// ShowLock asks every host about the lock.
func (r *Run) ShowLock(ctx context.Context) []HostLock {
	hosts := r.lockHosts()
	locks := make([]HostLock, len(hosts))
	errs := r.askLocks(ctx, hosts, func(i int) remote.Command {
		return remote.Command{Label: "look at the lock", Script: lockFragment(r.lockDir(hosts[i])) + "\n:\n", ReadOnly: true}
	}, func(i int, f remote.Fields) bool {
		locks[i] = readLock(hosts[i].Name, f)
		return false
	})
	for i, err := range errs {
		if err != nil {
			locks[i] = HostLock{Host: hosts[i].Name, Error: strings.TrimPrefix(err.Error(), hosts[i].Name+": "), Cause: err}
		}
	}
	return locks
}

// BreakLock ends the lock of whoever has it. A holder that is still there notices and changes nothing more.
func (r *Run) BreakLock(ctx context.Context) error {
	hosts := r.lockHosts()
	away := make([]error, len(hosts)) // of hosts that cannot be reached: they do not keep the others from being given free
	err := r.each(ctx, "lock", hosts, func(ctx context.Context, i int) error {
		err := r.changeAs(ctx, Changed, "lock", hosts[i], hostprep.Change{
			Kind: hostprep.RunScript, Target: "lock", Summary: "end the lock", Root: privileged(templates.Member{Host: hosts[i]}),
			Args: []string{r.lockDir(hosts[i]), r.Holder, r.crumb("breaks the lock")},
			Script: lockFunctions + `
dir=$1
[ -d "$dir" ] || exit 0
clock; top
[ "$t" -gt 0 ] || exit 0
printf 'token=broken\nholder=%s\nsince=%s\nuntil=0\n' "$2" "$now" >"$dir/.broken" || exit 1
ln "$dir/.broken" "$dir/$((t + 1))"
rm -f "$dir/.broken"
crumb "$3"
`})
		if remote.NeverRan(err) && context.Cause(ctx) == nil {
			away[i], err = err, nil
		}
		return err
	})
	if !slices.Contains(away, nil) {
		return joined(append(away, err))
	}
	for i, cause := range away {
		if cause != nil {
			r.report(Event{Kind: Warning, Step: "lock", Host: hosts[i].Name, Text: fmt.Sprintf("cannot be reached, so the lock there ends by itself: %v", cause)})
		}
	}
	return err
}
