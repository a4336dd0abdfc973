package guards

import (
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// The guards' names.
const (
	VolumeDelete    = "volume-delete"
	VolumeShrink    = "volume-shrink"
	ScaleIn         = "scale-in"
	ReplaceAllNodes = "replace-all-nodes"
	PublicDashboard = "public-dashboard"
	Unprotected     = "unprotected"
	CookieChange    = "cookie-change"
	Renamed         = "renamed"
)

// exitCode is the command line's for a guard that fired.
const exitCode = 3

// Violation is one guard that fired.
type Violation struct {
	Guard string `json:"guard"`
	// Message names the nodes and what would become of them, and what to do.
	Message string `json:"message"`
	// Allow is the setting that would let it pass, "" when nothing does.
	Allow string `json:"allow,omitempty"`
}

// ByArgument names settings as typed arguments are named, without the project: "guards.allowVolumeDelete".
func ByArgument(found []Violation) []Violation {
	named := slices.Clone(found)
	for i := range named {
		named[i].Message = strings.ReplaceAll(named[i].Message, settings.Project+":", "")
		named[i].Allow = strings.TrimPrefix(named[i].Allow, settings.Project+":")
	}
	return named
}

func (v Violation) String() string { return v.Guard + ": " + v.Message }

// Error is every guard that fired. Nothing was touched.
type Error struct{ Violations []Violation }

func (e *Error) Error() string {
	if len(e.Violations) == 1 {
		return "refused by a guard: " + e.Violations[0].String()
	}
	lines := []string{"refused by the stack's guards:"}
	for _, v := range e.Violations {
		lines = append(lines, "  "+v.String())
	}
	return strings.Join(lines, "\n")
}

// ExitCode is the process's exit code for this error.
func (e *Error) ExitCode() int { return exitCode }
