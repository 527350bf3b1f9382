package zkcli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/wire"
)

// Where quotas are: below the path of the znode, as seen from here, there is one znode with the limits and one with what the
// server counts (org.apache.zookeeper.Quotas).
const (
	quotaRoot  = "/zookeeper/quota"
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// track is the data of these two: names and numbers, -1 for no limit (org.apache.zookeeper.StatsTrack).
type track map[string]int64

// trackKeys are the keys that options of setquota and delquota stand for.
var trackKeys = map[string]string{"n": "count", "b": "bytes", "N": "countHardLimit", "B": "byteHardLimit"}

func (t track) get(key string) int64 {
	if v, ok := t[key]; ok {
		return v
	}
	return -1
}

// String puts count and bytes first; the = after them keeps servers before 3.7 from reading on.
func (t track) String() string {
	b := fmt.Sprintf("count=%d,bytes=%d", t.get("count"), t.get("bytes"))
	others := "="
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if key != "count" && key != "bytes" {
			b += fmt.Sprintf("%s;%s=%d", others, key, t[key])
			others = ""
		}
	}
	return b
}

func parseTrack(data []byte) (track, error) {
	t := track{}
	for _, pair := range strings.FieldsFunc(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		fields := strings.Split(pair, "=")
		if len(fields) < 2 {
			return nil, fatal("Index 1 out of bounds for length 1")
		}
		value := fields[1]
		if value == "" {
			value = "-1"
		}
		n, err := parseInt(value, 10, 64)
		if err != nil {
			return nil, err
		}
		t[fields[0]] = n
	}
	return t, nil
}

// readTrack reads the limits or the stats of a path.
func (s *shell) readTrack(path, name string) (track, error) {
	data, _, err := s.session.Get(background, quotaRoot+path+"/"+name, false)
	if err != nil {
		return nil, err
	}
	return parseTrack(data)
}

func listQuota(s *shell, a arguments) error {
	path := a.words[1]
	fmt.Fprintf(s.err, "absolute path is %s%s/%s\n", quotaRoot, path, limitsName)
	limits, err := s.readTrack(path, limitsName)
	var stats track
	if err == nil {
		stats, err = s.readTrack(path, statsName)
	}
	if client.Code(err) == wire.ErrNoNode {
		fmt.Fprintf(s.err, "quota for %s does not exist.\n", path)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Output quota for %s %v\nOutput stat for %s %v\n", path, limits, path, stats)
	return nil
}

func setQuota(s *shell, a arguments) error {
	path := a.words[1]
	if strings.HasPrefix(path, quotaRoot) {
		fmt.Fprintf(s.err, "cannot set a quota under the path: %s\n", quotaRoot)
		return nil
	}
	quota := track{"count": -1, "bytes": -1, "countHardLimit": -1, "byteHardLimit": -1}
	for option, value := range a.values {
		least, complaint, bits := int64(1), "the num quota must be greater than zero", 32
		if option == "b" || option == "B" {
			least, complaint, bits = 0, "the bytes quota must be greater than or equal to zero", 64
		}
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			complaint = "NumberFormatException happens when parsing the option value"
		}
		if err != nil || n < least {
			fmt.Fprintln(s.err, complaint)
			return nil
		}
		quota[trackKeys[option]] = n
	}
	return s.createQuota(path, quota)
}

// createQuota makes or changes the quota of a znode, which no znode above or below may have.
func (s *shell) createQuota(path string, quota track) error {
	stat, err := s.session.Exists(background, path, false)
	if err != nil {
		return err
	}
	if stat == nil {
		return failure(path + " does not exist.")
	}
	if err := s.noQuotaBelow(path); err != nil {
		return err
	}
	if err := s.noQuotaAbove(path); err != nil {
		return err
	}
	names := strings.Split(strings.TrimSuffix(path, "/"), "/")[1:]
	at := quotaRoot
	if err := s.ensure("/zookeeper", quotaRoot); err != nil {
		return err
	}
	for _, name := range names {
		at += "/" + name
		if err := s.ensure(at); err != nil {
			return err
		}
	}
	if stat, err = s.session.Exists(background, at+"/"+limitsName, false); err != nil {
		return err
	}
	if stat == nil {
		for _, node := range []struct {
			name string
			data track
		}{{limitsName, quota}, {statsName, track{"count": 0, "bytes": 0}}} {
			if _, err := s.session.Create(background, at+"/"+node.name, []byte(node.data.String()), wire.OpenACL(), wire.FlagPersistent, 0); err != nil {
				return err
			}
		}
		limits, err := s.readTrack(at[len(quotaRoot):], limitsName)
		if err != nil {
			return err
		}
		return s.warn(at, limits)
	}
	limits, err := s.readTrack(at[len(quotaRoot):], limitsName)
	if err != nil {
		return err
	}
	for key, n := range quota {
		if n > -1 {
			limits[key] = n
		}
	}
	if err := s.warn(at, limits); err != nil {
		return err
	}
	_, err = s.session.Set(background, at+"/"+limitsName, []byte(limits.String()), -1)
	return err
}

// ensure creates the znodes that are not there; that somebody else did meanwhile is fine.
func (s *shell) ensure(paths ...string) error {
	last := paths[len(paths)-1]
	stat, err := s.session.Exists(background, last, false)
	if err != nil || stat != nil {
		return err
	}
	for _, path := range paths {
		if _, err := s.session.Create(background, path, nil, wire.OpenACL(), wire.FlagPersistent, 0); err != nil {
			if client.Code(err) == wire.ErrNodeExists {
				return nil
			}
			return err
		}
	}
	return nil
}

// warn tells when there is already more than the limits allow.
func (s *shell) warn(at string, limits track) error {
	stats, err := s.readTrack(at[len(quotaRoot):], statsName)
	if err != nil {
		return err
	}
	for _, kind := range [][2]string{{"count", "countHardLimit"}, {"bytes", "byteHardLimit"}} {
		used, soft, hard := stats.get(kind[0]), limits.get(kind[0]), limits.get(kind[1])
		if soft > -1 && soft < used || hard > -1 && hard < used {
			fmt.Fprintf(s.out, "[Warning]: the %s quota you create is less than the existing %s:%d\n", kind[0], kind[0], used)
		}
	}
	return nil
}

func (s *shell) noQuotaBelow(path string) error {
	own := quotaRoot + path
	err := s.visit(own, false, func(at string) error {
		if at == own {
			return nil
		}
		children, _, err := s.session.Children(background, at, false)
		if err == nil && slices.Contains(children, limitsName) {
			err = failure(path + " has a child " + at[len(quotaRoot):] + " which has a quota")
		}
		if client.Code(err) == wire.ErrNoNode {
			return nil
		}
		return err
	})
	if client.Code(err) == wire.ErrNoNode {
		return nil
	}
	return err
}

func (s *shell) noQuotaAbove(path string) error {
	names := strings.Split(path, "/")
	at := quotaRoot
	for _, name := range names[1 : len(names)-1] {
		at += "/" + name
		children, _, err := s.session.Children(background, at, false)
		if client.Code(err) == wire.ErrNoNode || err == nil && len(children) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if slices.Contains(children, limitsName) {
			return failure(path + " has a parent " + at[len(quotaRoot):] + " which has a quota")
		}
	}
	return nil
}

// deleteQuota removes one limit, or without an option all of the quota and what was only made for it.
func deleteQuota(s *shell, a arguments) error {
	path := a.words[1]
	err := s.deleteQuota(path, a)
	if client.Code(err) == wire.ErrNoNode {
		fmt.Fprintf(s.err, "quota for %s does not exist.\n", path)
		return nil
	}
	return err
}

func (s *shell) deleteQuota(path string, a arguments) error {
	at := quotaRoot + path
	stat, err := s.session.Exists(background, at+"/"+limitsName, false)
	if err != nil {
		return err
	}
	if stat == nil {
		fmt.Fprintf(s.out, "Quota does not exist for %s\n", path)
		return nil
	}
	limits, err := s.readTrack(path, limitsName)
	if err != nil {
		return err
	}
	if len(a.values) > 0 {
		for option := range a.values {
			limits[trackKeys[option]] = -1
		}
		_, err := s.session.Set(background, at+"/"+limitsName, []byte(limits.String()), -1)
		return err
	}
	children, _, err := s.session.Children(background, at, false)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := s.session.Delete(background, at+"/"+child, -1); err != nil {
			return err
		}
	}
	for at != quotaRoot {
		children, _, err := s.session.Children(background, at, false)
		if err != nil || len(children) > 0 {
			return err
		}
		if err := s.session.Delete(background, at, -1); err != nil {
			return err
		}
		at = at[:strings.LastIndexByte(at, '/')]
	}
	return nil
}
