package server

import (
	"context"
	"os"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

// oraclePoll is how often the oracle is asked.
const oraclePoll = 100 * time.Millisecond

// asksOracle tells whether there is an oracle.
func (s *Server) asksOracle() bool {
	return s.cfg.Distributed && s.cfg.Quorum.OraclePath != "" && !s.cfg.Members.Hierarchical()
}

// askOracle tells the node what the oracle says, whenever that changes: whether its file begins with "1". A file that cannot
// be read says no (org.apache.zookeeper.server.quorum.flexible.QuorumOracleMaj).
func (s *Server) askOracle(ctx context.Context) {
	path := s.cfg.Quorum.OraclePath
	said, failed := false, false
	ticker := time.NewTicker(oraclePoll)
	defer ticker.Stop()
	for {
		alone, err := readOracle(path)
		if err != nil && !failed {
			s.log.Warn("the oracle cannot be read, which means that this server may not lead alone", "error", err)
		}
		failed = err != nil
		if alone != said {
			said = alone
			s.log.Info("the oracle says whether this server may lead alone", "alone", alone)
			s.inbox.put([]node.Input{node.OracleSaid{Alone: alone}})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func readOracle(path string) (alone bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	var first [1]byte
	n, err := file.Read(first[:])
	if n == 0 {
		return false, err
	}
	return first[0] == '1', nil
}
