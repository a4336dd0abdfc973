package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) outputs() *cobra.Command {
	var show bool
	c := &cobra.Command{
		Use:   "outputs [stack]",
		Short: "Print what the last update gave: endpoints, names, addresses",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := a.open(quiet, a.stackOf(args))
			if err != nil {
				return err
			}
			defer t.close()
			out, err := t.Outputs(c.Context())
			if err != nil {
				return err
			}
			values := out.Plain(show)
			if a.asJSON {
				enc := json.NewEncoder(a.Stdout)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(values)
			}
			printMap(a.Stdout, values, "")
			return nil
		},
	}
	c.Flags().BoolVar(&show, "show-secrets", false, "print secrets in clear")
	return c
}

// printMap prints values as an indented list, one name after another.
func printMap(w io.Writer, m map[string]any, indent string) {
	width := 0
	for k := range m {
		width = max(width, len(k))
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		switch v := m[k].(type) {
		case map[string]any:
			_, _ = fmt.Fprintf(w, "%s%s\n", indent, k)
			printMap(w, v, indent+"  ")
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = fmt.Sprint(v[i])
			}
			_, _ = fmt.Fprintf(w, "%s%-*s  %s\n", indent, width, k, strings.Join(parts, " "))
		default:
			_, _ = fmt.Fprintf(w, "%s%-*s  %v\n", indent, width, k, v)
		}
	}
}
