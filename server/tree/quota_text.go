package tree

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Quota is the content of a limits or stats node: numbers of nodes and bytes, -1 for no limit.
type Quota struct {
	Count, Bytes         int64
	CountHard, BytesHard int64
	// rest are all values but Count and Bytes, those of hard limits among them.
	rest map[string]int64
}

// ParseQuota reads a text such as "count=3,bytes=-1" or "count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=5". What is
// missing, or no number, is -1 (org.apache.zookeeper.StatsTrack).
func ParseQuota(text []byte) Quota {
	q := Quota{Count: -1, Bytes: -1, CountHard: -1, BytesHard: -1}
	for field := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == ',' || r == ';' }) {
		key, rest, ok := strings.Cut(field, "=")
		if !ok {
			continue
		}
		value, _, _ := strings.Cut(rest, "=")
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			number = -1
		}
		switch key {
		case "count":
			q.Count = number
			continue
		case "bytes":
			q.Bytes = number
			continue
		case "countHardLimit":
			q.CountHard = number
		case "byteHardLimit":
			q.BytesHard = number
		}
		if q.rest == nil {
			q.rest = make(map[string]int64)
		}
		q.rest[key] = number
	}
	return q
}

// String writes the text that Apache ZooKeeper writes: what is set besides Count and Bytes comes behind them, and the
// spurious = lets parsers from before 3.7 stop there.
func (q Quota) String() string {
	s := fmt.Sprintf("count=%d,bytes=%d", q.Count, q.Bytes)
	if len(q.rest) == 0 {
		return s
	}
	s += "="
	for _, key := range slices.Sorted(maps.Keys(q.rest)) {
		s += fmt.Sprintf(";%s=%d", key, q.rest[key])
	}
	return s
}
