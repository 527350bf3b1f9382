package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/inventory"
)

// Health is the state of an ensemble as a whole.
type Health string

// The states of an ensemble.
const (
	Healthy  Health = "healthy"
	Degraded Health = "degraded"
	NoQuorum Health = "no quorum"
)

// Verdict sums up one round of observations.
type Verdict struct {
	Health Health
	// Voters and Serving count voting members: all, and those that serve and are synced.
	Voters, Serving int
	// Majority is the least number of voters with which the ensemble serves; with groups and weights not any such number does.
	Majority int
	// Quorum says that the voters that serve and are synced are enough.
	Quorum bool
	// FailuresLeft is how many more serving voters can fail before the quorum is lost.
	FailuresLeft int
	// Leader is the leader's name, "" without one.
	Leader string
	// Text is one line for an operator.
	Text string
}

// quorums are those by which members count, each different one once.
type quorums []inventory.Quorum

// wantedOf is the quorum that the inventory says, of members that were all observed.
func wantedOf(seen []Observation) inventory.Quorum {
	hosts := make([]inventory.Host, len(seen))
	for i, o := range seen {
		hosts[i] = o.Host
	}
	return inventory.QuorumOf(hosts)
}

// inForce are the quorums by which those count that serve, are synced and are not away: any of them may lead, now or next. Where
// nobody serves, it is that of the inventory.
func inForce(seen []Observation, away ...int) (all quorums) {
	wanted, serves := wantedOf(seen), without(synced(seen), away...)
	for _, o := range seen {
		counts := o.Counts
		if len(counts.Voters()) == 0 {
			counts = wanted
		}
		if slices.Contains(counts.Voters(), o.Host.ID) && serves(o.Host.ID) && !slices.ContainsFunc(all, counts.Equal) {
			all = append(all, counts)
		}
	}
	if all == nil {
		return quorums{wanted}
	}
	return all
}

// Enough reports whether the voters that satisfy has are a quorum, whoever counts.
func (q quorums) Enough(has func(id int) bool) bool {
	return !slices.ContainsFunc(q, func(one inventory.Quorum) bool { return !one.Enough(has) })
}

// closest is the one that the voters that satisfy has miss, or else would miss first.
func (q quorums) closest(has func(id int) bool) inventory.Quorum {
	return slices.MinFunc(q, func(a, b inventory.Quorum) int {
		left := func(one inventory.Quorum) int {
			if !one.Enough(has) {
				return -1
			}
			return one.FailuresLeft(has)
		}
		return left(a) - left(b)
	})
}

// know reports whether anybody counts this voter.
func (q quorums) know(id int) bool {
	return slices.ContainsFunc(q, func(one inventory.Quorum) bool { return slices.Contains(one.Voters(), id) })
}

// leading is the member that leads, nil without one: of several that say so the one of the newest epoch. A quorum follows that,
// and no older one any more, which may need a moment to notice.
func leading(seen []Observation) *Observation {
	var leader *Observation
	for i, o := range seen {
		if o.Leads() && (leader == nil || o.Epoch() > leader.Epoch()) {
			leader = &seen[i]
		}
	}
	return leader
}

// deposed tells of a member that says it leads whether a newer leader was seen.
func deposed(seen []Observation, o Observation) bool {
	return o.State == Leader && o.Epoch() < leading(seen).Epoch()
}

// synced tells of a server id whether its member serves and is synced.
func synced(seen []Observation) func(id int) bool {
	ids := map[int]bool{}
	for _, o := range seen {
		ids[o.Host.ID] = o.Synced() && !deposed(seen, o)
	}
	for _, id := range formerVoters(seen) {
		ids[id] = true
	}
	return func(id int) bool { return ids[id] }
}

// formerVoters are the ids of voters that have left the inventory and still serve: the leader counts them, and has more followers in
// sync than all others could be.
func formerVoters(seen []Observation) (gone []int) {
	leader := leading(seen)
	if leader == nil {
		return nil
	}
	others := 0
	known := map[int]bool{}
	for _, o := range seen {
		known[o.Host.ID] = true
		if o.Host.ID != leader.Host.ID && o.State != Observing {
			others++
		}
	}
	for _, id := range leader.Counts.Voters() {
		if !known[id] {
			gone = append(gone, id)
		}
	}
	if leader.Followers-others < len(gone) {
		return nil
	}
	return gone
}

// without takes ids away from others.
func without(has func(id int) bool, away ...int) func(id int) bool {
	return func(id int) bool { return has(id) && !slices.Contains(away, id) }
}

// Judge sums up observations of all members.
func Judge(seen []Observation) Verdict {
	v := Verdict{}
	serves := synced(seen)
	quorum := inForce(seen).closest(serves)
	serving, leaders, late := 0, 0, ""
	for _, o := range seen {
		voter := o.Host.Role == inventory.Voter
		if voter {
			v.Voters++
		}
		if serves(o.Host.ID) {
			serving++
			if voter {
				v.Serving++
			}
		}
		switch {
		case deposed(seen, o):
			late += fmt.Sprintf("; %s has not noticed yet that it leads no more", o.Host.Name)
		case o.Leads():
			leaders++
			v.Leader = o.Host.Name
		}
	}
	v.Majority, v.Quorum, v.FailuresLeft = quorum.Size(), quorum.Enough(serves), quorum.FailuresLeft(serves)
	switch {
	case leaders == 0 || !v.Quorum:
		v.Health, v.FailuresLeft = NoQuorum, 0
		v.Text = fmt.Sprintf("no quorum: %s serve, %d are needed", quorum.Describe(serves), quorum.Needed())
		if leaders == 0 && v.Quorum {
			v.Text = "no quorum: nobody leads"
		}
	case leaders > 1:
		v.Health, v.FailuresLeft = Degraded, 0
		v.Text = fmt.Sprintf("degraded: %d members say that they lead", leaders)
	case serving < len(seen):
		v.Health = Degraded
		v.Text = fmt.Sprintf("degraded: %d of %d members serve, %s%s", serving, len(seen), failuresLeft(v.FailuresLeft), late)
	default:
		v.Health = Healthy
		v.Text = fmt.Sprintf("healthy: all %d members serve, %s", len(seen), failuresLeft(v.FailuresLeft))
	}
	return v
}

func failuresLeft(n int) string {
	switch n {
	case 0:
		return "no further failure is survived"
	case 1:
		return "one more failure is survived"
	}
	return fmt.Sprintf("%d more failures are survived", n)
}

// Lag is how many transactions a member is behind the leader, and whether that can be said. After an election members
// keep their last zxid of the epoch before until the first transaction of the new one; a synced member is not behind then.
func Lag(seen []Observation, o Observation) (uint64, bool) {
	leader := leading(seen)
	switch {
	case leader == nil || !o.Serving():
		return 0, false
	case o.Zxid >= leader.Zxid:
		return 0, true
	case o.Epoch() == leader.Epoch():
		return leader.Zxid - o.Zxid, true
	case uint32(leader.Zxid) == 0:
		return 0, o.Synced()
	}
	return 0, false
}

// RefusedError is an operation that a safety gate did not permit.
type RefusedError struct {
	// Host is the member that was to be stopped.
	Host string
	// Text has the numbers.
	Text string
	// Remedy says how to get permission, where it is not to bring members back.
	Remedy string
}

// Error has the host and the arithmetic.
func (e *RefusedError) Error() string { return e.Host + ": refused: " + e.Text }

// Hint says how to get permission.
func (e *RefusedError) Hint() string {
	if e.Remedy != "" {
		return e.Remedy
	}
	return "bring the missing members back first (zkctl status shows them, zkctl start starts them)"
}

// lookRemedy says how to see members that zkctl does not see.
const lookRemedy = "let zkctl reach the client ports (firewall; client certificate, see zkctl certs show), or look at the members on their hosts: zkServer.sh status"

// interruptRemedy is for ensembles of which all members serve, and of which one would be missed all the same.
const interruptRemedy = "there are too few voters for a restart without an interruption: zkctl restart restarts them at once, while no client is served"

// MayStop decides from what was just observed whether the member may be stopped, to be started again: the other voters that serve
// and are synced must still be a majority, by what each of them counts, and by what the inventory says, since who comes back with
// that follows only whom it takes for a majority. A voter that does not serve, or an observer, is missed by no quorum; but one that was not
// seen may serve.
func MayStop(seen []Observation, name string) error {
	v, now, serves := Judge(seen), inForce(seen), synced(seen)
	quorum := now.closest(serves)
	for _, o := range seen {
		if o.Host.Name != name {
			continue
		}
		if !now.know(o.Host.ID) {
			return nil
		}
		if !o.Synced() {
			if o.State == Down && o.Reason != noServer && !v.Quorum {
				return &RefusedError{Host: name, Remedy: lookRemedy, Text: fmt.Sprintf("it was not seen (%s), so it may serve; %s are seen to, and %d are needed",
					o.Reason, quorum.Describe(serves), quorum.Needed())}
			}
			return nil
		}
		if v.Leader == "" {
			return &RefusedError{Host: name, Text: fmt.Sprintf("nobody leads: %s serve, %d are needed%s", quorum.Describe(serves), quorum.Needed(),
				missing(seen))}
		}
		rest, left := append(inForce(seen, o.Host.ID), wantedOf(seen)), without(serves, o.Host.ID)
		if quorum = rest.closest(left); !quorum.Enough(left) {
			refused := &RefusedError{Host: name, Text: fmt.Sprintf("%s serve; without %s it would be %d, and %d are needed%s",
				quorum.Describe(serves), name, quorum.Tally(left), quorum.Needed(), missing(seen))}
			for _, id := range quorum.Voters() {
				if !slices.ContainsFunc(seen, func(o Observation) bool { return o.Host.ID == id }) && !serves(id) {
					refused.Text += fmt.Sprintf("; server %d has left the inventory and is still counted: it has to run until the others know it no more", id)
				}
			}
			if v.Serving == v.Voters {
				refused.Remedy = interruptRemedy
			}
			return refused
		}
		return nil
	}
	return fmt.Errorf("%s: was not observed", name)
}

// missing names the voters that do not serve, in parentheses.
func missing(seen []Observation) string {
	var names []string
	for _, o := range seen {
		if o.Host.Role != inventory.Voter || o.Synced() {
			continue
		}
		what := string(o.State)
		if o.Serving() {
			what = "synchronising"
		}
		names = append(names, o.Host.Name+" is "+what)
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}
