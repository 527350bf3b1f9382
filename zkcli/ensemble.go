package zkcli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/server/javatext"
	"github.com/zkctl/zkctl/server/properties"
	"github.com/zkctl/zkctl/wire"
)

func config(s *shell, a arguments) error {
	data, stat, err := s.session.Config(background, a.has("w"))
	if err != nil {
		return err
	}
	if data == nil {
		data = []byte("null")
	}
	if a.has("c") {
		fmt.Fprintln(s.out, clientServers(data))
	} else {
		fmt.Fprintln(s.out, javatext.Decode(data))
	}
	if a.has("s") {
		s.printStat(stat)
	}
	return nil
}

// clientServers is the version of a membership and the client addresses in it; a server without one leaves a gap.
func clientServers(data []byte) string {
	members := membership(data)
	var addresses []string
	for _, id := range serverIDs(members) {
		_, client, _ := strings.Cut(members[fmt.Sprint("server.", id)], ";")
		client = strings.ToLower(strings.TrimSpace(client))
		if client != "" && !strings.Contains(client, ":") {
			client = "0.0.0.0:" + client
		}
		addresses = append(addresses, client)
	}
	return members["version"] + " " + strings.Join(addresses, ",")
}

// membership are the properties in the text of a membership.
func membership(data []byte) map[string]string {
	members := make(map[string]string)
	list, _ := properties.Read(data) // what is malformed is not a member
	for _, p := range list {
		members[p.Key] = p.Value
	}
	return members
}

// serverIDs are the servers of a membership in their order.
func serverIDs(members map[string]string) []int64 {
	var ids []int64
	for key := range members {
		if text, ok := strings.CutPrefix(key, "server."); ok {
			if id, err := strconv.ParseInt(text, 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func reconfig(s *shell, a arguments) error {
	file, members, add, drop := a.has("file"), a.has("members"), a.has("add"), a.has("remove")
	q := wire.ReconfigRequest{ConfigID: -1}
	if !file && !members && !add && !drop {
		return failure("reconfig " + commands()["reconfig"].usage)
	}
	if a.has("v") {
		v, err := parseInt(a.values["v"], 16, 64)
		if err != nil {
			return failure("-v must be followed by a long (configuration version)")
		}
		q.ConfigID = v
	}
	if (file || members) && (add || drop) {
		return failure("Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)")
	}
	if file && members {
		return failure("Can't use -file and -members together (conflicting non-incremental modes)")
	}
	for name, field := range map[string]**string{"add": &q.Joining, "remove": &q.Leaving, "members": &q.NewMembers} {
		if a.has(name) {
			value := strings.ToLower(a.values[name])
			*field = &value
		}
	}
	if file {
		text, err := readMembers(a.values["file"])
		if err != nil {
			return failure("Error processing " + a.values["file"] + err.Error())
		}
		q.NewMembers = &text
	}
	data, stat, err := s.session.Reconfig(background, q)
	if err != nil {
		if e, ok := err.(*client.Error); ok { // whose path is empty, not null
			return failure(strings.TrimSuffix(describe(e), "null"))
		}
		return err
	}
	fmt.Fprintf(s.out, "Committed new configuration:\n%s\n", javatext.Decode(data))
	if a.has("s") {
		s.printStat(stat)
	}
	return nil
}

// readMembers reads a membership file. The leader checks it again, and more of it.
func readMembers(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if os.IsNotExist(err) {
			return "", failure(path + " (No such file or directory)")
		}
		return "", failure(path + " (" + err.Error() + ")")
	}
	list, bad := properties.ReadFile(data)
	if len(bad) > 0 {
		return "", bad[0].Err
	}
	members := make(map[string]string)
	for _, p := range list {
		members[p.Key] = p.Value
	}
	var others []string
	for key := range members {
		switch {
		case strings.HasPrefix(key, "group"), strings.HasPrefix(key, "weight"), key == "version":
			others = append(others, key+"="+members[key])
		case !strings.HasPrefix(key, "server."):
			return "", failure("Unrecognised parameter: " + key)
		}
	}
	slices.Sort(others)
	var lines []string
	for _, id := range serverIDs(members) {
		key := fmt.Sprint("server.", id)
		lines = append(lines, key+"="+members[key])
	}
	return strings.Join(append(lines, others...), "\n"), nil
}
