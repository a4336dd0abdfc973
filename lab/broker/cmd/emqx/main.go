// Command emqx is the stand-in for EMQX in the lab's image: `emqx foreground`
// runs it, `emqx ctl ...` talks to the one that runs in the same container.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/broker"
)

func main() { os.Exit(run(os.Args)) }

// ctlCost is what a start of EMQX's command line takes, a virtual machine of Erlang: 1.4
// to 2 s on an idle node, longer on a busy one.
const ctlCost = 1100 * time.Millisecond

func run(args []string) int {
	verb, rest := "", []string(nil)
	ctl := func(args ...string) int { return broker.Ctl(broker.Options{CtlCost: ctlCost}, args, os.Stderr) }
	if len(args) > 1 {
		verb, rest = args[1], args[2:]
	}
	switch {
	case filepath.Base(args[0]) == "emqx_cluster_rescue":
		return ctl(append([]string{"rescue"}, args[1:]...)...)
	case filepath.Base(args[0]) == "emqx_ctl":
		return ctl(args[1:]...)
	case verb == "ctl":
		return ctl(rest...)
	case verb == "eval":
		return ctl("eval_erl", strings.Join(rest, " "))
	case verb == "ping":
		return ctl("ping")
	case verb == "version":
		_, _ = fmt.Fprintln(os.Stdout, broker.Version+" (stand-in)")
		return 0
	case verb == "foreground", verb == "start", verb == "console":
		debug.SetGCPercent(broker.GarbagePercent)
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
