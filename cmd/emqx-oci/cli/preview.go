package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) preview() *cobra.Command {
	var refresh, expectNone bool
	var page string
	c := &cobra.Command{
		Use:   "preview [stack]",
		Short: "Show what up would change, and touch nothing",
		Long: `preview shows what up would change, and touches nothing. It ends with exit code 3 when a guard refuses
the change. With --refresh --expect-no-changes it is a check for drift: it names what somebody changed
past the stack, and ends with exit code 4.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			if page == "-" && a.asJSON {
				return usage(errors.New("--json and --markdown - both write to stdout: give --markdown a file"))
			}
			report, reporting := a.reporter(a.stackOf(args), page)
			t, err := a.open(progress.Preview, a.stackOf(args), reporting, func(o *orchestrate.Options) {
				o.Refresh = refresh
				if expectNone {
					o.FinalError = expectNoChanges(o.FinalError)
				}
			})
			if err != nil {
				return report.done(err)
			}
			defer t.close()
			_, err = t.Preview(c.Context())
			return report.done(err)
		},
	}
	c.Flags().BoolVar(&refresh, "refresh", false, "ask the clouds first what they hold; the stack's state stays as it is")
	c.Flags().BoolVar(&expectNone, "expect-no-changes", false, "fail with exit code 4 when there is anything to change")
	c.Flags().StringVar(&page, "markdown", "", markdownUsage+`; "-" is stdout`)
	return c
}
