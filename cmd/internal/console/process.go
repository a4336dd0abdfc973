package console

import (
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// Signals are those of this process that end a command.
func Signals() chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A reader that leaves (| head) cancels cleanly instead of ending the program mid-update. The signal itself also
	// comes for every connection that a peer closes, so only [Pipe] tells.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return signals
}

// Pipe writes to a file of this process, and tells when nobody reads any more.
type Pipe struct {
	File *os.File
	Gone chan<- os.Signal
}

func (p Pipe) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		select {
		case p.Gone <- syscall.SIGPIPE:
		default: // others wait to be read already
		}
	}
	return n, err
}

// version is what the build sets: the tag that it is of, or git's description of a commit
// (-X github.com/emqx-oci/emqx-oci/cmd/internal/console.version=...).
var version string

// Version is that of the program: the tag without its "v", or else what Go knows of the build, which is the module's
// version, taken from the commit where it may ask git; "(devel)" when nobody knows.
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(set string, info *debug.BuildInfo) string {
	if set == "" && info != nil {
		set = info.Main.Version
	}
	if set == "" {
		return "(devel)"
	}
	if number, tagged := strings.CutPrefix(set, "v"); tagged {
		return number
	}
	return set
}
