// Command emqx-oci-lab is the lab: `emqx-oci lab` becomes it.
package main

import (
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci-lab/cli"
	"github.com/emqx-oci/emqx-oci/cmd/internal/beside"
	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/lab/load"
)

func main() {
	signals := console.Signals()
	dir, _ := os.Getwd()
	self, _ := os.Executable()
	os.Exit(cli.Run(cli.Options{
		Stdin: os.Stdin, Stdout: console.Pipe{File: os.Stdout, Gone: signals}, Stderr: console.Pipe{File: os.Stderr, Gone: signals},
		StdinTerminal: term.IsTerminal(int(os.Stdin.Fd())), StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		Getenv: os.Getenv, Dir: dir, Executable: self, Command: strings.TrimSuffix(os.Args[0], "-lab"), Signals: signals,
		Lab:    func(dir string) cli.Lab { return newLab(dir, self) },
		Load:   load.Run,
		Deploy: beside.Program{Name: "emqx-oci", Executable: self}.Output,
	}, os.Args[1:]))
}
