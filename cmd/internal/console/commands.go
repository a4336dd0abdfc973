package console

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Flags are where the flags that every command has go to.
type Flags struct {
	// Project is the folder with Pulumi.yaml; see [ProjectDir].
	Project *string
	// StageDir is the folder that Pulumi's engine works in, LabDir that of the lab: "" is the default one.
	StageDir, LabDir *string
	JSON, Verbose    *bool
	// Record is a file for the engine's events.
	Record *string
}

// Register adds the flags to the command that all others are below of, and makes its faults wrong calls.
func (f Flags) Register(root *cobra.Command, getenv func(string) string) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return Usage(fmt.Errorf("%w: see \"%s --help\"", err, c.CommandPath()))
	})
	flags := root.PersistentFlags()
	flags.StringVarP(f.Project, "project", "C", "", "folder with Pulumi.yaml and the stack files (default: here or above)")
	flags.StringVar(f.StageDir, "stage-dir", getenv("EMQX_OCI_STAGE_DIR"), "private folder that the engine works in")
	flags.StringVar(f.LabDir, "lab-dir", getenv("EMQX_OCI_LAB_DIR"), "folder of the lab")
	flags.BoolVar(f.JSON, "json", false, "one JSON object per line, for programs")
	flags.BoolVarP(f.Verbose, "verbose", "v", false, "show the engine's own text, too")
	flags.StringVar(f.Record, "record", "", "write the engine's events into this file")
	_ = flags.MarkHidden("record")
}

// ProjectDir finds the folder with Pulumi.yaml: the given one, the working folder or one above it, or the one that the
// program was built in.
func ProjectDir(given, working, executable string) (string, error) {
	if given != "" {
		return given, nil
	}
	for _, from := range []string{working, filepath.Dir(executable)} {
		for d := from; ; d = filepath.Dir(d) {
			if st, err := os.Stat(filepath.Join(d, "Pulumi.yaml")); err == nil && !st.IsDir() {
				return d, nil
			}
			if filepath.Dir(d) == d {
				break
			}
		}
	}
	return "", Usage(fmt.Errorf("no Pulumi.yaml in %s or above it: run emqx-oci in the project's folder, or name it with --project", working))
}

// NoArgs refuses arguments.
func NoArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(fmt.Errorf("%q takes no arguments, got %s", c.CommandPath(), strings.Join(args, " ")))
	}
	return nil
}

// Called is how to call emqx-oci from where the caller is, who called it by name: "make up" in a checkout calls it by its
// whole path, and puts it on nobody's PATH.
func Called(name, working string) string {
	if !strings.Contains(name, string(filepath.Separator)) {
		return "emqx-oci"
	}
	if !filepath.IsAbs(name) {
		return name
	}
	if rel, err := filepath.Rel(working, name); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.Dir(rel) + string(filepath.Separator) + filepath.Base(rel)
	}
	return name
}

// CheckCall says what is wrong with a call as far as its words tell: an unknown command or flag, arguments too many. Nothing
// is run.
func CheckCall(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil {
		return Usage(err)
	}
	if err := c.ParseFlags(rest); err != nil {
		return Usage(fmt.Errorf("%s: %w", c.CommandPath(), err))
	}
	if c == root || c.HasSubCommands() {
		if len(c.Flags().Args()) > 0 {
			return Usage(fmt.Errorf("%s has no command %q", c.CommandPath(), c.Flags().Args()[0]))
		}
		return nil
	}
	return c.ValidateArgs(c.Flags().Args())
}
