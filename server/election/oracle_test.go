package election

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// oracleScene is server 2 of n with an oracle.
func oracleScene(t *testing.T, n int, alone bool) *scene {
	s := &scene{t: t, e: New(Config{Self: 2, Members: voters(t, n), Oracle: true})}
	s.e.SetOracle(s.now, alone)
	s.e.Look(s.now, ownLast, ownEpoch)
	return s
}

func TestOracle(t *testing.T) {
	s := oracleScene(t, 2, false)
	s.passes(5 * time.Second)
	s.undecided()
	s.e.SetOracle(s.now, true)
	s.e.Look(s.now, ownLast, ownEpoch)
	s.passes(time.Second)
	s.decided(2, wire.Leading)

	s = oracleScene(t, 3, true) // one of three is no matter for an oracle
	s.passes(5 * time.Second)
	s.undecided()

	for _, alone := range []bool{false, true} { // the other one leads alone
		s = oracleScene(t, 2, alone)
		s.hears(1, vote(wire.Leading, 1, 9, ownEpoch+1, ownLast))
		s.decided(1, wire.Following)
	}
	s = oracleScene(t, 2, false)
	s.hears(1, vote(wire.Following, 2, 9, ownEpoch+1, ownLast))
	s.undecided()
}

// The word that comes while this server looks counts with the next vote.
func TestOracleSpeaksLate(t *testing.T) {
	s := oracleScene(t, 2, false)
	s.passes(time.Second)
	s.undecided()
	s.e.SetOracle(s.now, true)
	s.passes(5 * time.Second)
	s.decided(2, wire.Leading)
}
