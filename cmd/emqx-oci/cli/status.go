package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
	"github.com/emqx-oci/emqx-oci/infra/operate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// watchEvery lies between the end of one look and the start of the next.
const watchEvery = 2 * time.Second

func (a *app) status() *cobra.Command {
	var watch, probe bool
	c := &cobra.Command{
		Use:   "status [stack]",
		Short: "Show the running cluster, what is the matter with it, and what to do",
		Long: `status asks Nomad, Consul, every member, the cloud's balancer and the stack's history, all at once
and for 15 seconds at most, and changes nothing. It works while an update runs, and while any of them is
away: then it says so. Exit code 0 when all is well, 1 when not; a balancer or a history that cannot be
read is no reason for 1. CLIENTS are connected now; SESSIONS are theirs and those of clients that are away.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := a.running(c.Context(), a.stackOf(args))
			if err != nil {
				return err
			}
			a.announceSignals(func(string) {})
			var every time.Duration
			if watch {
				every = behindEvery
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			b := a.newBehind(ctx, a.stackOf(args), every)
			o := operate.StatusOptions{Probe: probe, Balancer: b.backends(!watch), LastUpdate: b.lastUpdate(!watch)}
			for {
				s := cluster.Status(ctx, o)
				if c.Context().Err() != nil {
					return a.watched(watch)
				}
				if err := a.show(s, watch); err != nil {
					return err
				}
				if !watch {
					if !s.Well {
						return code(orchestrate.ExitFailed)
					}
					return nil
				}
				select {
				case <-c.Context().Done():
					return a.watched(watch)
				case <-time.After(watchEvery):
				}
			}
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "look again and again, until Ctrl-C")
	c.Flags().BoolVar(&probe, "probe", false, "send a message through the public name, too")
	return c
}

// watched is the end of a look that a signal cut off: of a watch it is the usual one.
func (a *app) watched(watch bool) error {
	if watch {
		if a.StdoutTerminal && !a.asJSON { // which has shown ^C
			_, _ = fmt.Fprintln(a.Stdout)
		}
		return nil
	}
	return stopped("looking at the cluster was stopped")
}

// show prints one look. On a terminal a watch repaints its screen; in a pipe each look follows the one before.
func (a *app) show(s operate.Status, watch bool) error {
	if a.asJSON {
		return a.encode(s)
	}
	width, height := 0, 0
	if a.StdoutTerminal && a.Size != nil {
		width, height = a.Size()
	}
	var b strings.Builder
	writeStatus(&b, s, width, a.color())
	text := printable.Painted(b.String())
	switch {
	case watch && a.StdoutTerminal && a.Getenv("TERM") != "dumb":
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if room := height - 1; room > 3 && len(lines) > room {
			// What is the matter stands at the end: the table gives way.
			lines = slices.Concat(lines[:2], []string{"..."}, lines[len(lines)-room+3:])
		}
		// Home; each line clears what was right of it, the last one what was below.
		text = "\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J"
	case watch:
		text += "\n"
	}
	_, err := fmt.Fprint(a.screen, text)
	if errors.Is(err, syscall.EPIPE) { // "| head" has seen enough
		return code(128 + int(syscall.SIGPIPE))
	}
	return err
}
