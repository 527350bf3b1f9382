// Command zkcli is package zkcli as a program of its own, for machines on which no server runs.
package main

import (
	"os"

	"github.com/zkctl/zkctl/zkcli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(zkcli.Run(version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
