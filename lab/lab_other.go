//go:build !linux

package lab

import (
	"context"
	"errors"
	"io"
	"runtime"

	"github.com/emqx-oci/emqx-oci/lab/faults"
)

// ErrNotUp says that there is no lab to talk to.
var ErrNotUp = errors.New("the lab needs Linux and root; this is " + runtime.GOOS)

func Up(context.Context, Options) error                           { return ErrNotUp }
func Down(context.Context, Options) error                         { return ErrNotUp }
func Daemon(context.Context, Options) error                       { return ErrNotUp }
func Running(context.Context, Options) bool                       { return false }
func PrintStatus(context.Context, Options, io.Writer, bool) error { return ErrNotUp }
func Env(context.Context, Options) (map[string]string, error)     { return nil, ErrNotUp }
func Tools(Options) (map[string]string, error)                    { return nil, ErrNotUp }
func Secrets(Options) (map[string]string, error)                  { return nil, ErrNotUp }

func Exec(context.Context, Options, string, []string, io.Reader, io.Writer, io.Writer) (int, error) {
	return 0, ErrNotUp
}

// AddImages needs Linux.
func AddImages(context.Context, Options, Images) error { return ErrNotUp }

// Faults needs Linux.
func Faults(Options) faults.Injector { return noFaults{} }

type noFaults struct{}

func (noFaults) Do(context.Context, faults.Fault) error          { return ErrNotUp }
func (noFaults) Undo(context.Context, faults.Fault) error        { return ErrNotUp }
func (noFaults) Active(context.Context) ([]faults.Active, error) { return nil, ErrNotUp }
func (noFaults) Clear(context.Context) error                     { return ErrNotUp }
