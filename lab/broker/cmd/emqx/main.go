// Command emqx is the stand-in for EMQX in the lab's image: `emqx foreground`
// runs it, `emqx ctl ...` talks to the one that runs in the same container.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/emqx-oci/emqx-oci/lab/broker"
)

func main() { os.Exit(run(os.Args)) }

func run(args []string) int {
	verb, rest := "", []string(nil)
	if len(args) > 1 {
		verb, rest = args[1], args[2:]
	}
	switch {
	case filepath.Base(args[0]) == "emqx_cluster_rescue":
		return broker.Ctl(broker.Options{}, append([]string{"rescue"}, args[1:]...), os.Stderr)
	case filepath.Base(args[0]) == "emqx_ctl":
		return broker.Ctl(broker.Options{}, args[1:], os.Stderr)
	case verb == "ctl":
		return broker.Ctl(broker.Options{}, rest, os.Stderr)
	case verb == "eval":
		return broker.Ctl(broker.Options{}, []string{"eval_erl", strings.Join(rest, " ")}, os.Stderr)
	case verb == "ping":
		return broker.Ctl(broker.Options{}, []string{"ping"}, os.Stderr)
	case verb == "version":
		_, _ = fmt.Fprintln(os.Stdout, broker.Version+" (stand-in)")
		return 0
	case verb == "foreground", verb == "start", verb == "console":
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer cancel()
		if err := broker.Run(ctx, broker.Options{}); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "emqx: "+err.Error())
			return 1
		}
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "Usage: emqx foreground | start | console | ctl COMMAND | eval EXPRESSION | ping | version")
	return 2
}
