package console

import (
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
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

// Version is that of the program's module.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
