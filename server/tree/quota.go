package tree

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names of the nodes under /zookeeper/quota/<path> that hold limits and use.
const (
	QuotaLimitsName = "zookeeper_limits"
	QuotaStatsName  = "zookeeper_stats"
)

// quotas knows the paths that have limits. Their current use is kept in the data of their stats node, without version
// change, watch or transaction (org.apache.zookeeper.server.DataTree.updateQuotaStat).
type quotas struct{ limited map[string]struct{} }

func newQuotas() quotas { return quotas{limited: make(map[string]struct{})} }

// covering returns the longest path with limits that path lies in. The root cannot be limited.
func (q *quotas) covering(path string) (string, bool) {
	if len(q.limited) == 0 {
		return "", false
	}
	for p := path; p != RootPath; p = Parent(p) {
		if _, ok := q.limited[p]; ok {
			return p, true
		}
	}
	return "", false
}

// quotaSubject returns the path that a limits or stats node is about.
func quotaSubject(path, name string) (string, bool) {
	rest, ok := strings.CutPrefix(path, QuotaPath+"/")
	if !ok {
		return "", false
	}
	subject, ok := strings.CutSuffix("/"+rest, "/"+name)
	return subject, ok && subject != ""
}

// countUse adds to the use of the quota that covers path.
func (t *Tree) countUse(path string, nodes, bytes int64) {
	limited, ok := t.quotas.covering(path)
	if !ok {
		return
	}
	stats := t.nodes[QuotaPath+limited+"/"+QuotaStatsName]
	if stats == nil {
		return
	}
	use := ParseQuota(stats.data)
	use.Count += nodes
	use.Bytes += bytes
	t.setData(stats, []byte(use.String()))
}

// quotaCreated follows the creation of any node.
func (t *Tree) quotaCreated(n *node) {
	if subject, ok := quotaSubject(n.path, QuotaLimitsName); ok {
		t.quotas.limited[subject] = struct{}{}
	} else if subject, ok := quotaSubject(n.path, QuotaStatsName); ok {
		t.recountUse(subject)
	}
	t.countUse(n.path, 1, int64(len(n.data)))
}

// quotaDeleted follows the deletion of any node.
func (t *Tree) quotaDeleted(path string, bytes int) {
	if subject, ok := quotaSubject(path, QuotaLimitsName); ok {
		delete(t.quotas.limited, subject)
	}
	t.countUse(path, -1, -int64(bytes))
}

// recountUse counts what lies in a path and writes it into its stats node, if there is one.
func (t *Tree) recountUse(subject string) {
	stats := t.nodes[QuotaPath+subject+"/"+QuotaStatsName]
	if stats == nil {
		return
	}
	use := Quota{}
	if n := t.nodes[subject]; n != nil {
		use.add(n)
	}
	t.setData(stats, []byte(use.String()))
}

func (q *Quota) add(n *node) {
	q.Count++
	q.Bytes += int64(len(n.data))
	for _, c := range n.children() {
		q.add(c)
	}
}

// recountQuotas finds all quotas of a restored tree and counts their use.
func (t *Tree) recountQuotas() {
	var walk func(n *node)
	walk = func(n *node) {
		if subject, ok := quotaSubject(n.path, QuotaLimitsName); ok {
			t.quotas.limited[subject] = struct{}{}
			t.recountUse(subject)
		}
		for _, c := range n.children() {
			walk(c)
		}
	}
	if n := t.nodes[QuotaPath]; n != nil {
		walk(n)
	}
}

// LimitedBy returns the longest path with quota limits that path lies in.
func (t *Tree) LimitedBy(path string) (string, bool) { return t.quotas.covering(path) }

// Quota is the content of a limits or stats node: numbers of nodes and bytes, -1 for no limit.
type Quota struct {
	Count, Bytes         int64
	CountHard, BytesHard int64
	hard                 []string // hard limits that are set, as "key=value"
}

// ParseQuota reads a text such as "count=3,bytes=-1" or "count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=5". What
// it does not know it ignores, and what is missing is -1 (org.apache.zookeeper.StatsTrack).
func ParseQuota(text []byte) Quota {
	q := Quota{Count: -1, Bytes: -1, CountHard: -1, BytesHard: -1}
	for field := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == ',' || r == ';' }) {
		key, rest, _ := strings.Cut(field, "=")
		value, _, _ := strings.Cut(rest, "=")
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			number = -1
		}
		switch key {
		case "count":
			q.Count = number
		case "bytes":
			q.Bytes = number
		case "countHardLimit":
			q.CountHard = number
			q.hard = append(q.hard, fmt.Sprintf("%s=%d", key, number))
		case "byteHardLimit":
			q.BytesHard = number
			q.hard = append(q.hard, fmt.Sprintf("%s=%d", key, number))
		}
	}
	slices.Sort(q.hard)
	return q
}

// String writes the text that Apache ZooKeeper writes; hard limits appear only where they were set.
func (q Quota) String() string {
	s := fmt.Sprintf("count=%d,bytes=%d", q.Count, q.Bytes)
	if len(q.hard) > 0 {
		s += "=;" + strings.Join(q.hard, ";")
	}
	return s
}

// NamespaceQuota sums up the quotas below one first component of a path. A limit that is not set counts as -1.
type NamespaceQuota struct{ CountLimit, BytesLimit, CountUsage, BytesUsage int64 }

// NamespaceQuotas returns those of all namespaces that have any (org.apache.zookeeper.server.util.QuotaMetricsUtils).
func (t *Tree) NamespaceQuotas() map[string]NamespaceQuota {
	all := make(map[string]NamespaceQuota)
	for path := range t.quotas.limited {
		namespace := Namespace(path)
		q := all[namespace]
		if limits := t.nodes[QuotaPath+path+"/"+QuotaLimitsName]; limits != nil {
			l := ParseQuota(limits.data)
			q.CountLimit += hardOr(l.CountHard, l.Count)
			q.BytesLimit += hardOr(l.BytesHard, l.Bytes)
		}
		if stats := t.nodes[QuotaPath+path+"/"+QuotaStatsName]; stats != nil {
			use := ParseQuota(stats.data)
			q.CountUsage += use.Count
			q.BytesUsage += use.Bytes
		}
		all[namespace] = q
	}
	return all
}

// hardOr is the hard limit, or the other one if there is none.
func hardOr(hard, soft int64) int64 {
	if hard > -1 {
		return hard
	}
	return soft
}
