package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/operate"
)

func (a *app) restore() *cobra.Command {
	var yes bool
	node := -1
	c := &cobra.Command{
		Use:   "restore STACK FILE",
		Short: "Put a file of backup into the running cluster",
		Long: `restore checks the file, copies it to a node and has EMQX import it there, for the whole cluster. Records of
the file replace those with the same key (the dashboard's users with their passwords, too); everything
else stays. It refuses a cluster that is not whole, and ends when all members have the same number of
retained messages. Clients stay connected.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(errors.New("restore needs a stack and a file: see \"emqx-oci restore --help\""))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.mustAsk(yes, "restore "+strings.Join(args, " ")); err != nil {
				return err
			}
			f, err := os.Open(args[1])
			if err != nil {
				return fmt.Errorf("opening the backup: %w", err)
			}
			defer func() { _ = f.Close() }()
			return a.putBack(c.Context(), f, a.stackOf(args[:1]), node, yes)
		},
	}
	c.Flags().IntVar(&node, "node", node, "index of the node that imports (default: the first whose EMQX answers)")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// restored is the result as --json prints it.
type restored struct {
	Stack string `json:"stack"`
	operate.Restored
}

func (a *app) putBack(ctx context.Context, f operate.RestoreFile, stack string, node int, yes bool) error {
	b, err := operate.ReadBackup(f) // before anything is asked
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	cluster, err := a.running(ctx, stack)
	if err != nil {
		return err
	}
	if !yes {
		_, _ = fmt.Fprintf(a.Stdout, "%s of EMQX %s (%s), %d bytes, with %s.\nWhat stack %s has under the same keys is replaced, the dashboard's passwords, too.\n",
			b.Name, b.Version, b.Edition, b.Size, strings.Join(b.Tables, ", "), stack)
		ok, err := a.confirm(ctx, "Type the stack's name to go on: ", func(s string) bool { return s == stack })
		if err != nil {
			return err
		}
		if !ok {
			return a.declined()
		}
	}
	a.announceSignals(func(string) { _, _ = fmt.Fprintln(a.Stderr, "stopping: an import that has begun goes on in EMQX") })
	r, err := cluster.Restore(ctx, f, operate.BackupOptions{Node: node, Report: a.progressLine})
	if err := orInterrupted(ctx, "restoring", err); err != nil {
		return err
	}
	if a.asJSON {
		return a.encode(restored{Stack: stack, Restored: r})
	}
	_, _ = fmt.Fprintf(a.Stdout, "%s is imported on %s\n", b.Name, r.Node)
	for _, name := range slices.Sorted(maps.Keys(r.After)) {
		_, _ = fmt.Fprintf(a.Stdout, "  %s  retained messages: %d before, %d now\n", name, r.Before[name], r.After[name])
	}
	return nil
}
