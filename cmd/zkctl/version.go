package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/bundle"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "show the version, and which servers this zkctl carries",
		Description: "   zkctl version",
		Action: func(c *cli.Context) error {
			var carried []string
			for _, arch := range []string{"amd64", "arm64"} {
				if p, err := bundle.Server(arch); err == nil {
					carried = append(carried, fmt.Sprintf("linux/%s (sha256 %.12s)", arch, p.SHA256))
				}
			}
			if carried == nil {
				carried = []string{"none: give --server-binary, or build with `make build`"}
			}
			_, err := fmt.Fprintf(c.App.Writer, "zkctl %s %s/%s\nservers: %s\n", version, runtime.GOOS, runtime.GOARCH, strings.Join(carried, ", "))
			return err
		},
	}
}
