package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// Backups are what a cluster's data goes out and in by. operate.Cluster does it.
type Backups interface {
	Backup(context.Context, operate.File, operate.BackupOptions) (operate.Backup, error)
	Restore(context.Context, operate.RestoreFile, operate.BackupOptions) (operate.Restored, error)
}

func (a *app) backup() *cobra.Command {
	var out string
	node := -1
	c := &cobra.Command{
		Use:   "backup [stack]",
		Short: "Write EMQX's own data into a file: users, keys, settings, retained messages",
		Long: `backup has EMQX export what the cluster keeps on its disks, and brings the file here: dashboard users, API
keys, bans, users and rules of EMQX's own databases, settings changed at run time, retained messages. No
session and no queued message is in it: open-source EMQX has those in memory only. The cluster goes on
meanwhile, and nothing stays on the node.

The file holds password hashes, and secrets that stand in settings: keep it as you keep the cluster's
passwords. It is readable for you alone.`,
		Example: "  emqx-oci backup prod --out /backups/prod.tar.gz\n  emqx-oci restore staging /backups/prod.tar.gz",
		Args:    oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			a.announceSignals(func(string) {}) // it ends within seconds
			return a.takeBackup(c.Context(), cluster, stack, out, node)
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "", "the file (default: the stack's and the export's name, here); one that exists is not touched")
	c.Flags().IntVar(&node, "node", node, "index of the node that exports (default: the first whose EMQX answers)")
	return c
}

// backedUp is the result as --json prints it.
type backedUp struct {
	Stack string `json:"stack"`
	File  string `json:"file"`
	operate.Backup
}

func (a *app) takeBackup(ctx context.Context, cluster Backups, stack, out string, node int) (err error) {
	dir := filepath.Dir(out)
	if out != "" {
		if err := absent(out); err != nil {
			return err
		}
	}
	// A name of its own until it is whole and checked; private from the first byte.
	f, err := os.CreateTemp(dir, ".emqx-oci-backup-*")
	if err != nil {
		return fmt.Errorf("making the file for the backup: %w", err)
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	b, err := cluster.Backup(ctx, f, operate.BackupOptions{Node: node, Report: a.progressLine})
	if err := orInterrupted(ctx, "backing up", err); err != nil {
		return err
	}
	if out == "" {
		out = stack + "-" + b.Name
	}
	// Link, unlike rename, never replaces what somebody else put there meanwhile.
	if err := errors.Join(f.Sync(), os.Link(f.Name(), out)); err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if a.asJSON {
		return a.encode(backedUp{Stack: stack, File: out, Backup: b})
	}
	_, _ = fmt.Fprintf(a.Stdout, "%s: %d bytes, EMQX %s (%s)\n  tables   %s\n  sha256   %s\n  It holds password hashes and keys: keep it secret.\n",
		out, b.Size, b.Version, b.Edition, strings.Join(b.Tables, ", "), b.SHA256)
	return nil
}

func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return usage(fmt.Errorf("--out: %s exists; a backup replaces nothing", path))
	case errors.Is(err, os.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("making the file for the backup: %w", err)
	}
}

// progressLine tells what goes on, where it does not disturb a program.
func (a *app) progressLine(line string) {
	if !a.asJSON {
		_, _ = fmt.Fprintln(a.Stderr, line)
	}
}

// orInterrupted gives an end by a signal its own code.
func orInterrupted(ctx context.Context, operation string, err error) error {
	if err != nil && ctx.Err() != nil {
		return stopped(operation + " was stopped")
	}
	return err
}
