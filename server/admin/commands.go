package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
)

// command is one of the AdminServer (org.apache.zookeeper.server.admin.Commands).
type command struct {
	// names are that of its path and others for it.
	names []string
	// idle tells that a server which takes no clients runs it, too.
	idle bool
	// guarded commands are for those who may do everything with the root.
	guarded bool
	// posts tells that it takes POST, all others take GET.
	posts bool
	run   func(*call)
}

// call is one request for a command, and what becomes of it.
type call struct {
	src    Source
	ctx    context.Context
	log    *slog.Logger
	limits *limits
	args   url.Values
	body   io.Reader // of a POST; nil if there is none

	fields object
	status int               // of HTTP; 0 for 200
	header map[string]string // of the response
	// stream is sent instead of the fields and closed then, if it is not nil.
	stream io.ReadCloser
}

func (c *call) set(name string, value any) { c.fields.set(name, value) }

var commands = []command{
	{names: []string{"configuration", "conf", "config"}, run: configurationCommand},
	{names: []string{"connection_stat_reset", "crst"}, run: func(c *call) { c.src.ResetConnections() }},
	{names: []string{"connections", "cons"}, run: func(c *call) { c.setConnections(false) }},
	{names: []string{"dirs"}, run: dirsCommand},
	{names: []string{"dump"}, run: dumpCommand},
	{names: []string{"environment", "env", "envi"}, idle: true, run: environmentCommand},
	{names: []string{"get_trace_mask", "gtmk"}, idle: true, run: func(c *call) { c.set("tracemask", c.src.TraceMask()) }},
	{names: []string{"hash"}, run: hashCommand},
	{names: []string{"initial_configuration", "icfg"}, run: initialConfigurationCommand},
	{names: []string{"is_read_only", "isro"}, run: func(c *call) { c.set("read_only", c.src.Status().ReadOnly) }},
	{names: []string{"last_snapshot", "lsnp"}, run: lastSnapshotCommand},
	{names: []string{"leader", "lead"}, run: leaderCommand},
	{names: []string{"monitor", "mntr"}, idle: true, run: monitorCommand},
	{names: []string{"observer_connection_stat_reset", "orst"}, run: func(c *call) { c.src.ResetObservers() }},
	{names: []string{"observers", "obsr"}, run: observersCommand},
	{names: []string{"ruok"}, run: func(*call) {}},
	{names: []string{"server_stats", "srvr"}, run: serverStatsCommand},
	{names: []string{"set_trace_mask", "stmk"}, idle: true, run: setTraceMaskCommand},
	{names: []string{"stat_reset", "srst"}, run: func(c *call) { c.src.ResetTraffic() }},
	{names: []string{"stats", "stat"}, run: statsCommand},
	{names: []string{"system_properties", "sysp"}, idle: true, run: systemPropertiesCommand},
	{names: []string{"voting_view"}, run: votingViewCommand},
	{names: []string{"watch_summary", "wchs"}, run: watchSummaryCommand},
	{names: []string{"watches", "wchc"}, run: watchesCommand},
	{names: []string{"watches_by_path", "wchp"}, run: watchesByPathCommand},
	{names: []string{"zabstate"}, idle: true, run: zabStateCommand},
}

// find returns the command of a name, nil if there is none.
func find(name string) *command {
	for i := range commands {
		if slices.Contains(commands[i].names, name) {
			return &commands[i]
		}
	}
	return nil
}

// answer is the object that a command is answered with: what it has to say, then its name and error, unless it set that
// itself.
func answer(fields object, name string, err any) object {
	o := append(object(nil), fields...)
	for _, m := range []member{{"command", name}, {"error", err}} {
		if !slices.ContainsFunc(fields, func(f member) bool { return f.name == m.name }) {
			o = append(o, m)
		}
	}
	return o
}

func monitorCommand(c *call) {
	for _, v := range monitored(c.src) {
		c.set(v.key, v.value)
	}
}

func setTraceMaskCommand(c *call) {
	given, ok := c.args["traceMask"]
	if !ok {
		c.set("error", "setTraceMask requires long traceMask argument")
		return
	}
	mask, err := strconv.ParseInt(given[0], 10, 64)
	if err != nil {
		c.set("error", fmt.Sprintf("setTraceMask requires long traceMask argument, got %s", given[0]))
		return
	}
	c.src.SetTraceMask(mask)
	c.set("tracemask", mask)
}
