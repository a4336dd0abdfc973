package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/faults"
	"github.com/emqx-oci/emqx-oci/lab/machine"
)

// breakable is the lab as faults see it.
type breakable struct {
	*machine.Machine
	*cloud.Cloud
}

var _ faults.Lab = breakable{}

// Nodes are what carries the tag group-index: the youngest instance that is not on
// its way out, and the volume.
func (b breakable) Nodes() []faults.Node {
	s := b.Snapshot()
	byIndex := map[int]*faults.Node{}
	at := func(index string) *faults.Node {
		n, err := strconv.Atoi(index)
		if err != nil {
			return nil
		}
		if byIndex[n] == nil {
			byIndex[n] = &faults.Node{Index: n}
		}
		return byIndex[n]
	}
	slices.SortStableFunc(s.Instances, func(a, b cloud.InstanceStatus) int { return a.Created.Compare(b.Created) })
	for _, i := range s.Instances {
		n := at(i.Index)
		if n == nil || i.State == "TERMINATING" && n.Instance != "" {
			continue
		}
		n.Name, n.Instance, n.State, n.Domain = i.Name, i.ID, i.State, i.AvailabilityDomain
		n.Addresses = nil
		for _, word := range append([]string{i.Address}, i.Reserved...) {
			if a, err := netip.ParseAddr(word); err == nil {
				n.Addresses = append(n.Addresses, a)
			}
		}
	}
	for _, v := range s.Volumes {
		if n := at(v.Index); n != nil {
			n.Volume = v.ID
			if n.Name == "" {
				n.Name = v.Name
			}
		}
	}
	out := make([]faults.Node, 0, len(byIndex))
	for _, n := range byIndex {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b faults.Node) int { return a.Index - b.Index })
	return out
}

func (b breakable) Servers() netip.Addr { return b.ServerAddress() }

func (b breakable) Signal(ctx context.Context, instance, container, name string) error {
	sig, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}[name]
	if !ok {
		return fmt.Errorf("no signal %q", name)
	}
	return b.Machine.Signal(ctx, instance, container, sig)
}

func (b breakable) SetCuts(ctx context.Context, cuts []faults.Cut) error {
	out := make([]machine.Cut, len(cuts))
	for i, c := range cuts {
		out[i] = machine.Cut(c)
	}
	return b.Machine.SetCuts(ctx, out)
}

// The cloud's requests, not what the machine does for them.
func (b breakable) StopInstance(ctx context.Context, id string) error {
	return b.Cloud.StopInstance(ctx, id)
}

func (b breakable) TerminateInstance(ctx context.Context, id string) error {
	return b.Cloud.TerminateInstance(ctx, id)
}

func (b breakable) PullVolume(ctx context.Context, volume string) (string, string, error) {
	return b.Cloud.PullVolume(ctx, volume)
}

// serveFaults answers on the control socket. The caller's going away leaves
// nothing half done: what was begun is ended.
func serveFaults(mux *http.ServeMux, broken faults.Injector) {
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	}
	with := func(f func(context.Context, faults.Fault) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var fault faults.Fault
			err := json.NewDecoder(r.Body).Decode(&fault)
			if err == nil {
				err = f(context.WithoutCancel(r.Context()), fault)
			}
			answer(w, err)
		}
	}
	mux.HandleFunc("POST /faults", with(broken.Do))
	mux.HandleFunc("POST /faults/undo", with(broken.Undo))
	mux.HandleFunc("POST /faults/clear", func(w http.ResponseWriter, r *http.Request) {
		answer(w, broken.Clear(context.WithoutCancel(r.Context())))
	})
}

// Faults breaks a running lab.
func Faults(o Options) faults.Injector { return injector{o.withDefaults().Dir} }

// injector speaks to the daemon's set.
type injector struct{ dir string }

func (i injector) Do(ctx context.Context, f faults.Fault) error { return i.post(ctx, "", f) }

func (i injector) Undo(ctx context.Context, f faults.Fault) error { return i.post(ctx, "/undo", f) }

func (i injector) Clear(ctx context.Context) error { return i.post(ctx, "/clear", nil) }

func (i injector) Active(ctx context.Context) ([]faults.Active, error) {
	s, err := ask(ctx, i.dir)
	if err != nil {
		return nil, unreached(err)
	}
	return s.Faults, nil
}

func (i injector) post(ctx context.Context, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("asking the lab's daemon: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab/faults"+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("asking the lab's daemon: %w", err)
	}
	res, err := control(i.dir).Do(req)
	if err != nil {
		return unreached(err)
	}
	defer res.Body.Close()
	switch text, _ := io.ReadAll(res.Body); res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return errors.New("the lab's daemon is older than this command: end it and run `emqx-oci lab up`")
	default:
		return errors.New(strings.TrimSpace(string(text)))
	}
}
