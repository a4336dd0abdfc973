//go:build !linux

package machine

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

var errSystem = errors.New("the lab runs on Linux only (network namespaces, loop devices, nftables); this is " + runtime.GOOS)

// Machine exists on other systems only so that programs compile there.
type Machine struct{ cloud.Machine }

// Instance describes one instance.
type Instance struct {
	ID, Name string
	Address  netip.Addr
	PID      int
	Alive    bool
	NetNS    string
	LogDir   string
}

// Stdio are a command's streams.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// SOCKSPort is the door into the internet namespace for any program.
const SOCKSPort = 1080

// New fails: see the error.
func New(Config) (*Machine, error) { return nil, errSystem }

// Up fails.
func (*Machine) Up(context.Context) error { return errSystem }

// Down fails.
func (*Machine) Down(context.Context) error { return errSystem }

// Close fails.
func (*Machine) Close() error { return errSystem }

// SetHandler does nothing.
func (*Machine) SetHandler(InstanceHandler) {}

// Instances are none.
func (*Machine) Instances() []Instance { return nil }

// AddImage fails.
func (*Machine) AddImage(context.Context, Image) error { return errSystem }

// KillInstance fails.
func (*Machine) KillInstance(string) error { return errSystem }

// Exec fails.
func (*Machine) Exec(context.Context, string, []string, Stdio) (int, error) { return 0, errSystem }
