package cli

import (
	"fmt"
	"io"
)

// CheckCall says what is wrong with a call as far as its words tell: an unknown command or flag, arguments too many. Nothing
// is run. Documents and workflows are held to it.
func CheckCall(args []string) error {
	a := &app{Options: Options{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}}
	root := a.root()
	c, rest, err := root.Find(args)
	if err != nil {
		return usage{err}
	}
	if err := c.ParseFlags(rest); err != nil {
		return usage{fmt.Errorf("%s: %w", c.CommandPath(), err)}
	}
	if c == root || c.HasSubCommands() {
		if len(c.Flags().Args()) > 0 {
			return usage{fmt.Errorf("%s has no command %q", c.CommandPath(), c.Flags().Args()[0])}
		}
		return nil
	}
	return c.ValidateArgs(c.Flags().Args())
}
