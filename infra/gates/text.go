package gates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
)

// maxListed bounds the single problems named in one line.
const maxListed = 4

// maxOutput bounds the text taken over from another program.
const maxOutput = 300

func joinSome(problems []string) string {
	if len(problems) <= maxListed {
		return strings.Join(problems, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(problems[:maxListed], "; "), len(problems)-maxListed)
}

// OneLine makes another program's output fit into a line of ours: printable, and of at most 300 characters and dots.
func OneLine(s string) string {
	s = printable.Text(strings.Join(strings.Fields(s), " "))
	if r := []rune(s); len(r) > maxOutput {
		return string(r[:maxOutput]) + "..."
	}
	return s
}

// loggable is text that others wrote, such as a broker, fit for a terminal and for the
// engine's log: a message in which the engine finds a command for a colour, "<{%red%}>",
// loses it, and one that is no command of its own ends the engine.
func loggable(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(printable.Text(s), "<{%", "<{ %"))
}

// ShortID is as much of an id as Nomad itself shows, its first 8 characters.
func ShortID(id string) string { return id[:min(8, len(id))] }

// unreachable tells that no answer came from one that says something.
func unreachable(err error) bool {
	var u *url.Error
	var n net.Error
	return errors.As(err, &u) || errors.As(err, &n) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// rootCause drops the request line that net/http puts before the cause: it
// holds the whole URL and hides what happened.
func rootCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// JoinNames joins names as a sentence does: "a, b and c".
func JoinNames(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
