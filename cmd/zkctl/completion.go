package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "write a completion script for bash, zsh or fish to stdout", ArgsUsage: "bash|zsh|fish",
		Description: `bash:  source <(zkctl completion bash)
zsh:   source <(zkctl completion zsh)
fish:  zkctl completion fish | source`,
		Action: func(c *cli.Context) error {
			var script string
			switch shell := c.Args().First(); shell {
			case "bash":
				script = bashCompletion(c.App)
			case "zsh":
				script = "autoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(c.App)
			case "fish":
				script = fishCompletion(c.App)
			default:
				return usage("completion for %q: there are bash, zsh and fish", shell)
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

// longFlags are a command's flags as they are typed.
func longFlags(c *cli.Command) []string {
	flags := []string{"--help"}
	for _, f := range c.Flags {
		if name := "--" + f.Names()[0]; !slices.Contains(flags, name) {
			flags = append(flags, name)
		}
	}
	return flags
}

func subcommands(c *cli.Command) []string {
	var names []string
	for _, s := range c.Subcommands {
		if s.Name != "help" {
			names = append(names, s.Name)
		}
	}
	return names
}

func bashCompletion(app *cli.App) string {
	var verbs, cases []string
	for _, c := range app.Commands {
		if c.Name == "help" {
			continue
		}
		verbs = append(verbs, c.Name)
		words := append(subcommands(c), longFlags(c)...)
		if c.Name == "completion" {
			words = append([]string{"bash", "zsh", "fish"}, words...)
		}
		for _, sub := range c.Subcommands {
			cases = append(cases, fmt.Sprintf("    %q) words=%q ;;", c.Name+" "+sub.Name, strings.Join(longFlags(sub), " ")))
		}
		cases = append(cases, fmt.Sprintf("    %q*) words=%q ;;", c.Name+" ", strings.Join(words, " ")))
	}
	return fmt.Sprintf(`_zkctl() {
  local words second= cur=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -gt 2 ]; then second=${COMP_WORDS[2]}; fi
  case "${COMP_WORDS[1]} $second" in
%s
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words=%q; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
}
complete -o filenames -F _zkctl zkctl
`, strings.Join(cases, "\n"), strings.Join(verbs, " "))
}

func fishCompletion(app *cli.App) string {
	var b strings.Builder
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }
	for _, c := range app.Commands {
		if c.Name == "help" {
			continue
		}
		fmt.Fprintf(&b, "complete -c zkctl -n __fish_use_subcommand -a %s -d %s\n", c.Name, quote(c.Usage))
		words := subcommands(c)
		if c.Name == "completion" {
			words = []string{"bash", "zsh", "fish"}
		}
		for _, s := range words {
			fmt.Fprintf(&b, "complete -c zkctl -n '__fish_seen_subcommand_from %s' -a %s\n", c.Name, s)
		}
		flags := func(condition string, c *cli.Command) {
			for _, f := range longFlags(c) {
				fmt.Fprintf(&b, "complete -c zkctl -n '%s' -l %s\n", condition, strings.TrimPrefix(f, "--"))
			}
		}
		flags("__fish_seen_subcommand_from "+c.Name, c)
		for _, s := range c.Subcommands {
			flags(fmt.Sprintf("__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s", c.Name, s.Name), s)
		}
	}
	return b.String()
}
