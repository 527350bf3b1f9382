package zkcli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// command is one word of the shell.
type command struct {
	usage string
	flags flags
	least int // how many words must follow, options aside
	// local is done in any state, remote then if the session is alive.
	local  func(*shell, []string) error
	remote func(*shell, arguments) error
}

// of are options without a value for each letter before the colon, with one for each word after it.
func of(letters string, valued ...string) flags {
	var f flags
	for _, letter := range letters {
		f.all = append(f.all, flag{name: string(letter)})
	}
	for _, name := range valued {
		f.all = append(f.all, flag{name: name, value: true})
	}
	return f
}

// limits is the choice between the kinds of quotas.
func limits(value bool) flags {
	return flags{choice: true, required: value, all: []flag{
		{"n", value, "num soft quota"}, {"b", value, "bytes soft quota"}, {"N", value, "num hard quota"}, {"B", value, "bytes hard quota"},
	}}
}

// commands are made when they are asked for: the server has this package in it, and does without them.
func commands() map[string]command {
	quit := command{local: (*shell).quit}
	return map[string]command{
		"addWatch": {usage: "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
			flags: of("", "m"), least: 1, remote: addWatch},
		"addauth":              {usage: "scheme auth", least: 1, remote: addAuth},
		"close":                {remote: closeSession},
		"config":               {usage: "[-c] [-w] [-s]", flags: of("cws"), remote: config},
		"connect":              {usage: "host:port", local: (*shell).reconnect},
		"create":               {usage: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", flags: of("esc", "t"), least: 1, remote: create},
		"delete":               {usage: "[-v version] path", flags: of("", "v"), least: 1, remote: remove},
		"deleteall":            {usage: "path [-b batch size]", flags: of("", "b"), least: 1, remote: removeAll},
		"delquota":             {usage: "[-n|-b|-N|-B] path", flags: limits(false), least: 1, remote: deleteQuota},
		"exit":                 quit,
		"get":                  {usage: "[-s] [-w] [-b] [-x] path", flags: of("swbx"), least: 1, remote: get},
		"getAcl":               {usage: "[-s] path", flags: of("s"), least: 1, remote: getACL},
		"getAllChildrenNumber": {usage: "path", least: 1, remote: countAll},
		"getEphemerals":        {usage: "path", remote: ephemerals},
		"history":              {local: (*shell).showHistory},
		"listquota":            {usage: "path", least: 1, remote: listQuota},
		"ls":                   {usage: "[-s] [-w] [-R] path", flags: of("?swR"), remote: list},
		"printwatches":         {usage: "on|off", local: (*shell).switchWatches},
		"quit":                 quit,
		"reconfig": {usage: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | " +
			"[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
			flags: of("s", "v", "file", "members", "add", "remove"), remote: reconfig},
		"redo":          {usage: "cmdno", local: (*shell).redo},
		"removewatches": {usage: "path [-c|-d|-p|-r|-a] [-l]", flags: of("cdpral"), least: 1, remote: removeWatches},
		"set":           {usage: "[-s] [-v version] [-b] path data", flags: of("sb", "v"), least: 2, remote: set},
		"setAcl":        {usage: "[-s] [-v version] [-R] path acl", flags: of("sR", "v"), least: 2, remote: setACL},
		"setquota":      {usage: "-n|-b|-N|-B val path", flags: limits(true), least: 1, remote: setQuota},
		"stat":          {usage: "[-w] path", flags: of("w"), least: 1, remote: stat},
		"sync":          {usage: "path", least: 1, remote: syncPath},
		"version":       {remote: showVersion},
		"whoami":        {remote: whoAmI},
	}
}

// usage lists the commands.
func (s *shell) usage() {
	var b strings.Builder
	b.WriteString("ZooKeeper -server host:port -client-configuration properties-file cmd args\n")
	all := commands()
	for _, name := range commandNames() {
		fmt.Fprintf(&b, "\t%s %s\n", name, all[name].usage)
	}
	fmt.Fprint(s.err, b.String())
}

func commandNames() []string { return slices.Sorted(maps.Keys(commands())) }

// quit ends the session and the shell, with the code of the command before.
func (s *shell) quit([]string) error {
	s.session.Close(background)
	return errQuit
}

func closeSession(s *shell, _ arguments) error {
	s.session.Close(background)
	return nil
}

func (s *shell) reconnect(words []string) error {
	if len(words) > 1 {
		return s.connect(words[1])
	}
	return s.connect(s.server)
}

// showHistory shows the last commands, this one included.
func (s *shell) showHistory([]string) error {
	for i := max(0, len(s.history)-11); i < len(s.history); i++ {
		fmt.Fprintf(s.out, "%d - %s\n", i, s.history[i])
	}
	if len(s.history) == 0 { // it is the only command
		fmt.Fprintln(s.out, "0 - null")
	}
	return nil
}

// redo runs a command again. Its own outcome is success, whatever that of the command.
func (s *shell) redo(words []string) error {
	if len(words) < 2 {
		return nil
	}
	n, err := parseIndex(words[1])
	if err != nil {
		return err
	}
	current := len(s.history) - 1
	if n < 0 || n >= current {
		return failure("Command index out of range")
	}
	line := s.history[n]
	again := split(line)
	if len(again) > 0 && again[0] == "redo" {
		return failure("No redoing redos")
	}
	s.history[current] = line
	s.execute(again)
	if s.ended {
		return errQuit
	}
	return nil
}

// parseIndex reads a number as java.lang.Integer.decode does.
func parseIndex(text string) (int, error) {
	n, err := strconv.ParseInt(strings.Replace(text, "#", "0x", 1), 0, 32)
	if err != nil {
		return 0, fatal(fmt.Sprintf("For input string: \"%s\"", text))
	}
	return int(n), nil
}

func (s *shell) switchWatches(words []string) error {
	if len(words) > 1 {
		s.printWatches.Store(words[1] == "on")
		return nil
	}
	fmt.Fprintf(s.out, "printwatches is %s\n", map[bool]string{true: "on", false: "off"}[s.printWatches.Load()])
	return nil
}

func showVersion(s *shell, a arguments) error {
	if len(a.words) > 1 {
		return failure("version ")
	}
	fmt.Fprintf(s.out, "ZooKeeper CLI version: %s\n", s.version)
	return nil
}
