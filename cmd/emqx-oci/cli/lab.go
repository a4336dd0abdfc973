package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// lab is a program of its own, which this process becomes.
func (a *app) lab() *cobra.Command {
	return &cobra.Command{
		Use:                "lab",
		Short:              "A cloud on this machine, for the stack \"lab\"",
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return a.Extension("lab").Become(args...) },
		ValidArgsFunction:  a.completeLab,
	}
}

// helpOfLab turns "help lab up" into "lab up --help", which the lab's program answers.
func helpOfLab(args []string) []string {
	if len(args) > 1 && args[0] == "help" && args[1] == "lab" {
		return append(slices.Clone(args[1:]), "--help")
	}
	return args
}

// completeLab asks the lab's program, which ends its answer with what the shell is to do. The flags of all commands are known
// here already.
func (a *app) completeLab(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	call := append(append([]string{cobra.ShellCompRequestCmd}, args...), toComplete)
	text, err := a.Extension("lab").Output(context.Background(), call...)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := len(lines) - 1
	directive, err := strconv.Atoi(strings.TrimPrefix(lines[last], ":"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	answers := slices.DeleteFunc(lines[:last], func(line string) bool {
		word, _, _ := strings.Cut(line, "\t")
		name, isFlag := strings.CutPrefix(word, "--")
		return isFlag && c.Root().PersistentFlags().Lookup(name) != nil
	})
	return answers, cobra.ShellCompDirective(directive)
}
