package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// habitual understands what people type because other programs take it: help, help COMMAND and --version.
func habitual(args []string) []string {
	switch {
	case len(args) == 0:
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// order puts flags behind the words that name the command and before its arguments, because the library takes flags
// nowhere else, and people write `zkctl bootstrap inventory.yaml --dry-run`.
func order(app *cli.App, args []string) ([]string, error) {
	takesValue := map[string]bool{"help": false, "h": false}
	collect := func(flags []cli.Flag) {
		for _, f := range flags {
			value, ok := f.(cli.DocGenerationFlag)
			for _, name := range f.Names() {
				takesValue[name] = ok && value.TakesValue()
			}
		}
	}
	for _, c := range app.Commands {
		collect(c.Flags)
		for _, sub := range c.Subcommands {
			collect(sub.Flags)
		}
	}
	var flags, words []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			words = append(words, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			words = append(words, a)
			continue
		}
		flags = append(flags, a)
		name, _, inline := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if takesValue[name] && !inline {
			if i+1 == len(args) {
				return nil, usage("%s needs a value", a)
			}
			i++
			flags = append(flags, args[i])
		}
	}
	named := 0
	commands := app.Commands
	for named < len(words) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[named]) })
		if i < 0 {
			break
		}
		commands = commands[i].Subcommands
		named++
	}
	if named == 0 && len(words) > 0 {
		var names []string
		for _, c := range app.Commands {
			names = append(names, c.Name)
		}
		return nil, usage("no command %q%s", words[0], meant(words[0], names))
	}
	ordered := append(slices.Clone(words[:named]), flags...)
	if named < len(words) {
		ordered = append(append(ordered, "--"), words[named:]...)
	}
	return ordered, nil
}
