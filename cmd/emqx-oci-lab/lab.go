package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci-lab/cli"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/faults"
)

// localCloud gives the command line its lab.
type localCloud struct {
	options lab.Options
	fault   error // of the environment; a new lab is refused with it
}

// newLab finds the lab in dir ("" is the default folder). Name and door of a new
// one may be chosen by EMQX_OCI_LAB_NAME and EMQX_OCI_LAB_DOOR, so that two labs
// can stand on one machine; EMQX_OCI_PLUGINS chooses the providers of its stack.
func newLab(dir, executable string) cli.Lab {
	bin := filepath.Dir(executable)
	o := lab.Options{
		Dir: dir, Name: os.Getenv("EMQX_OCI_LAB_NAME"), Plugins: os.Getenv("EMQX_OCI_PLUGINS"),
		Bin: bin, Tools: filepath.Join(filepath.Dir(bin), ".tools", "bin"),
		BrokerImages: []string{cluster.DefaultBrokerImage}, ProxyImages: []string{settings.DefaultProxyImage},
	}
	if tools := os.Getenv("EMQX_OCI_TOOLS"); tools != "" {
		o.Tools = tools
	}
	l := localCloud{options: o}
	if door := os.Getenv("EMQX_OCI_LAB_DOOR"); door != "" {
		var err error
		if l.options.Door, err = netip.ParseAddr(door); err != nil {
			l.fault = fmt.Errorf("EMQX_OCI_LAB_DOOR: must be a loopback address such as %s, got %q", lab.DefaultDoor, door)
		}
	}
	if p := l.options.Plugins; p != "" && p != lab.OfficialPlugins {
		l.fault = errors.Join(l.fault, fmt.Errorf("EMQX_OCI_PLUGINS: must be %q, or not set for the lab's own, got %q", lab.OfficialPlugins, p))
	}
	return l
}

func (l localCloud) Up(ctx context.Context, up cli.UpOptions) error {
	if l.fault != nil {
		return l.fault
	}
	o := l.options
	o.Latency, o.Archives, o.Log, o.Secured = up.Latency, up.Images, up.Log, up.Secured
	if broker, proxy, ok := wantedImages(up.Project, cli.DefaultStack); ok {
		o.BrokerImages, o.ProxyImages = []string{broker}, []string{proxy}
	}
	return lab.Up(ctx, o)
}

func (l localCloud) Prepare(ctx context.Context, project, stack string) error {
	broker, proxy, ok := wantedImages(project, stack)
	if !ok {
		return nil // `up` tells what is wrong with the settings
	}
	return lab.AddImages(ctx, l.options, lab.Images{Broker: []string{broker}, Proxy: []string{proxy}})
}

func (l localCloud) Down(ctx context.Context) error { return lab.Down(ctx, l.options) }

func (l localCloud) Status(ctx context.Context, w io.Writer, asJSON bool) error {
	return lab.PrintStatus(ctx, l.options, w, asJSON)
}

func (l localCloud) Exec(ctx context.Context, where string, argv []string, s cli.Stdio) (int, error) {
	return lab.Exec(ctx, l.options, where, argv, s.In, s.Out, s.Err)
}

func (l localCloud) Daemon(ctx context.Context) error {
	o := l.options
	// Its output is the lab's log.
	o.Log = func(line string) { _, _ = io.WriteString(os.Stdout, line+"\n") }
	return lab.Daemon(ctx, o)
}

func (l localCloud) Env() (map[string]string, error) {
	if l.fault != nil {
		return nil, l.fault
	}
	return lab.Env(context.Background(), l.options)
}

func (l localCloud) Tools() (map[string]string, error) { return lab.Tools(l.options) }

func (l localCloud) Secrets() (map[string]string, error) { return lab.Secrets(l.options) }

func (l localCloud) Running() bool { return lab.Running(context.Background(), l.options) }

func (l localCloud) Faults() faults.Injector { return lab.Faults(l.options) }

func (l localCloud) CAFile() string {
	return filepath.Join(cmp.Or(l.options.Dir, lab.DefaultDir), lab.CAFile)
}

// wantedImages are those that a stack of the project asks for. Faults of its other settings are for `up` to tell.
func wantedImages(project, stack string) (broker, proxy string, ok bool) {
	c, err := orchestrate.Read(project, stack)
	if err != nil {
		return "", "", false
	}
	s, _ := settings.Load(stack, settings.Source{Get: c.Get, IsSecret: c.IsSecret, Keys: c.Keys()})
	return s.Broker.Image, s.Proxy.Image, s.Broker.Image != "" && s.Proxy.Image != ""
}
