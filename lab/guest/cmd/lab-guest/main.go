//go:build linux

// Command lab-guest is everything that the lab puts inside an instance: what makes its
// root and starts its PID 1, its console, its user data and the command oci, which it is
// when it is called by that name.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/emqx-oci/emqx-oci/lab/guest"
)

func main() {
	os.Exit(run(os.Args))
}

func run(args []string) int {
	if filepath.Base(args[0]) == "oci" {
		return guest.OCI(args[1:], os.Stdout, os.Stderr)
	}
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "lab-guest: started by the lab, not by hand: launch | console | user-data | exec | oci")
		return 2
	}
	var err error
	switch verb, rest := args[1], args[2:]; {
	case verb == "oci":
		return guest.OCI(rest, os.Stdout, os.Stderr)
	case verb == "launch" && len(rest) == 1:
		err = guest.Launch(rest[0])
	case verb == "console" && len(rest) == 0:
		err = guest.KeepConsole()
	case verb == "user-data" && len(rest) == 0:
		err = guest.RunUserData()
	case verb == "exec":
		err = execIn(rest)
	default:
		err = fmt.Errorf("unknown call %q", strings.Join(args[1:], " "))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab-guest: %v\n", err)
		return 127
	}
	return 0
}

// execIn reads: NETNS [TARGET=SOURCE ...] -- ARGV...
func execIn(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("exec: too few arguments")
	}
	files := map[string]string{}
	for i, a := range args[1:] {
		if a == "--" {
			argv := args[i+2:]
			if len(argv) == 0 {
				return fmt.Errorf("exec: no command")
			}
			return guest.ExecIn(args[0], files, argv)
		}
		target, source, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("exec: %q is not TARGET=SOURCE", a)
		}
		files[target] = source
	}
	return fmt.Errorf("exec: no -- before the command")
}
