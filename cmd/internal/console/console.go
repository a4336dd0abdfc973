package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
)

// Exit codes; a signal's is 128 and its number.
const (
	ExitFailed = 1
	ExitUsage  = 2
)

// Console is one run of a command line.
type Console struct {
	// Stdout and Stderr are what a person reads: control characters that files, brokers and clouds put into their texts are
	// made visible.
	Stdout, Stderr io.Writer
	// Kill is closed by the second signal: what is under way ends at once.
	Kill chan struct{}

	signals <-chan os.Signal

	mu       sync.Mutex
	signal   syscall.Signal // the first one
	announce func(string)
}

// New makes the console of a process. Signals are SIGINT, SIGTERM, SIGHUP and SIGPIPE as they come; see [Signals].
func New(stdout, stderr io.Writer, signals <-chan os.Signal) *Console {
	c := &Console{Stdout: printable.NewWriter(stdout), Stderr: printable.NewWriter(stderr), Kill: make(chan struct{}), signals: signals}
	c.announce = func(s string) { _, _ = fmt.Fprintln(c.Stderr, s) }
	return c
}

// Run performs a command and gives the process's exit code: 0, [ExitFailed], [ExitUsage] for a wrong call, another that the
// error names with ExitCode, 128 and the signal's number after a signal. The first signal cancels the command's context.
func (c *Console) Run(root *cobra.Command, args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go c.watch(cancel, stop)
	root.SetArgs(args)
	return c.exit(root.ExecuteContext(ctx))
}

// Announce changes who tells about a signal, and gives the one before.
func (c *Console) Announce(announce func(string)) (before func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.announce = c.announce, announce
	return before
}

// watch turns signals into a clean end, and the second one into an immediate end.
func (c *Console) watch(cancel context.CancelFunc, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case s := <-c.signals:
			sig, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			c.mu.Lock()
			first := c.signal == 0
			if first {
				c.signal = sig
			}
			say := c.announce
			c.mu.Unlock()
			switch {
			case first:
				if sig == syscall.SIGINT {
					say("cancelling: waiting for what is under way; Ctrl-C again ends it at once")
				}
				cancel()
			case sig == syscall.SIGPIPE: // one comes with every line that nobody reads
			default:
				select {
				case <-c.Kill:
				default:
					close(c.Kill)
				}
			}
		}
	}
}

func (c *Console) exit(err error) int {
	if err == nil {
		return 0
	}
	var code Code
	if errors.As(err, &code) {
		return int(code)
	}
	_, _ = fmt.Fprintln(c.Stderr, "error: "+err.Error())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signal != 0 && errors.Is(err, context.Canceled) {
		return 128 + int(c.signal)
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return ExitFailed
}

// Code is an exit code without a message: what went wrong was said already.
type Code int

func (c Code) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Usage makes an error of a call that makes no sense: the exit code is [ExitUsage].
func Usage(err error) error { return usage{err} }

type usage struct{ error }

func (usage) ExitCode() int   { return ExitUsage }
func (u usage) Unwrap() error { return u.error }
