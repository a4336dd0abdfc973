package cli

import (
	"io"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
)

// CheckCall says what is wrong with a call as far as its words tell: an unknown command or flag, arguments too many. Nothing
// is run. Documents and workflows are held to it. What follows "lab" is for the lab's own command line to tell.
func CheckCall(args []string) error {
	a := &app{Options: Options{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}}
	return console.CheckCall(a.root(), args)
}
