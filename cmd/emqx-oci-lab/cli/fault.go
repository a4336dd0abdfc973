package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/faults"
)

func (a *app) labFault() *cobra.Command {
	var f faults.Fault
	var undo, list, clear bool
	c := &cobra.Command{
		Use:   "fault name [target...]",
		Short: "Break something in the lab, or repair it",
		Long: `fault breaks the lab as a cloud breaks, and repairs it with --undo, or after the time of --for.

Faults:
` + faults.Help(),
		Example: `  emqx-oci lab fault kill-broker 1
  emqx-oci lab fault cut-nodes 0 2 --for 30s
  emqx-oci lab fault fail-api 429 --match CreateVolume --rate 0.5
  emqx-oci lab fault stop-instance 1 --undo
  emqx-oci lab fault --clear`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case list && clear, (list || clear) && (len(args) > 0 || undo):
				return console.Usage(errors.New("--list and --clear stand alone"))
			case list || clear:
				return nil
			case len(args) == 0:
				return console.Usage(errors.New("which fault? See emqx-oci lab fault --help"))
			}
			f.Name, f.Target = args[0], args[1:]
			if err := f.Check(undo); err != nil {
				return console.Usage(err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			l := a.Lab(a.labDir)
			if !l.Running() {
				return lab.ErrNotUp
			}
			switch {
			case list:
				return a.listFaults(c, l.Faults())
			case clear:
				return l.Faults().Clear(c.Context())
			case undo:
				return faults.Undo(c.Context(), l.Faults(), f)
			default:
				return faults.Do(c.Context(), l.Faults(), f)
			}
		},
	}
	c.Flags().BoolVar(&list, "list", false, "list what is broken")
	c.Flags().BoolVar(&clear, "clear", false, "repair everything")
	c.Flags().BoolVar(&undo, "undo", false, "repair it")
	c.Flags().DurationVar(&f.For, "for", 0, "repair it after this time")
	c.Flags().StringVar(&f.Match, "match", "", "of fail-api: only calls with this in their name, such as CreateVolume or \"oci bv\"")
	c.Flags().Float64Var(&f.Rate, "rate", 0, "of fail-api: the part of the calls that fails, above 0 to 1 (default 1)")
	return c
}

func (a *app) listFaults(c *cobra.Command, l faults.Injector) error {
	active, err := l.Active(c.Context())
	if err != nil {
		return err
	}
	if a.asJSON {
		if active == nil {
			active = []faults.Active{}
		}
		enc := json.NewEncoder(a.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(active)
	}
	if len(active) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "nothing is broken")
		return err
	}
	t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	faults.Write(t, active)
	return t.Flush()
}
