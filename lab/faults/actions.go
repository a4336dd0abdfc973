package faults

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// Tasks of the two jobs.
const (
	brokerTask = "emqx"
	proxyTask  = "haproxy"
)

// OCI's words for the states that matter here.
const (
	stateRunning = "RUNNING"
	stateStopped = "STOPPED"
)

// up refuses what needs a running instance.
func (r *run) up() error {
	if r.node.State == stateRunning {
		return nil
	}
	state := r.node.State
	if state == "" {
		state = "without an instance"
	}
	return fmt.Errorf("node %d (%s) is %s, it must be %s", r.node.Index, r.node.Name, state, stateRunning)
}

// container is the task's on the node.
func (r *run) container(task string) (string, error) {
	if err := r.up(); err != nil {
		return "", err
	}
	id, err := r.lab.Container(r.ctx, r.node.Instance, task)
	if err != nil {
		return "", fmt.Errorf("node %d (%s): %w", r.node.Index, r.node.Name, err)
	}
	return id, nil
}

func kill(task string) func(*run) error {
	return func(r *run) error {
		container, err := r.container(task)
		if err != nil {
			return err
		}
		return r.lab.Signal(r.ctx, r.node.Instance, container, "KILL")
	}
}

func freeze(task string) func(*run) error {
	return func(r *run) error {
		container, err := r.container(task)
		if err != nil {
			return err
		}
		r.kept["container"] = container
		return r.lab.Signal(r.ctx, r.node.Instance, container, "STOP")
	}
}

// thaw reaches the container that was frozen, and the one that is there now should
// nobody know.
func thaw(task string) func(*run) error {
	return func(r *run) error {
		if r.node.State != stateRunning {
			return nil // whatever was frozen there is gone
		}
		container := r.kept["container"]
		if container == "" {
			var err error
			if container, err = r.container(task); err != nil {
				return nil //nolint:nilerr // no container, nothing to thaw
			}
		}
		return r.lab.Signal(r.ctx, r.node.Instance, container, "CONT")
	}
}

func stopInstance(r *run) error {
	if r.node.State == stateStopped {
		return nil
	}
	if err := r.up(); err != nil {
		return err
	}
	return r.lab.StopInstance(r.ctx, r.node.Instance)
}

func startInstance(r *run) error {
	if r.node.State != stateStopped {
		return nil
	}
	return r.lab.StartInstance(r.ctx, r.node.Instance)
}

func terminateInstance(r *run) error {
	if r.node.Instance == "" {
		return fmt.Errorf("node %d (%s) has no instance", r.node.Index, r.node.Name)
	}
	return r.lab.TerminateInstance(r.ctx, r.node.Instance)
}

func loseDomain(r *run) error {
	ad, _ := domain(r.fault.Target[0])
	return r.lab.LoseDomain(r.ctx, ad)
}

func restoreDomain(r *run) error {
	ad, _ := domain(r.fault.Target[0])
	r.lab.RestoreDomain(ad)
	return nil
}

func cutNodes(s *Set, e entry) []Cut {
	nodes := s.lab.Nodes()
	a, okA := node(nodes, e.Target[0])
	b, okB := node(nodes, e.Target[1])
	if !okA || !okB {
		return nil
	}
	return []Cut{{A: a.Addresses, B: b.Addresses}}
}

func isolate(s *Set, e entry) []Cut {
	nodes := s.lab.Nodes()
	a, ok := node(nodes, e.Target[0])
	if !ok {
		return nil
	}
	c := Cut{A: a.Addresses}
	for _, n := range nodes {
		if n.Index != a.Index {
			c.B = append(c.B, n.Addresses...)
		}
	}
	return []Cut{c}
}

func cutServer(ports ...int) func(*Set, entry) []Cut {
	return func(s *Set, e entry) []Cut {
		n, ok := node(s.lab.Nodes(), e.Target[0])
		if !ok {
			return nil
		}
		c := Cut{A: n.Addresses, Ports: ports}
		c.B = append(c.B, s.lab.Servers())
		return []Cut{c}
	}
}

func stopServers(r *run) error {
	var errs []error
	for _, name := range servers(r.fault.Target[0]) {
		errs = append(errs, r.lab.PowerServer(r.ctx, name, false))
	}
	return errors.Join(errs...)
}

func startServers(r *run) error {
	var errs []error
	for _, name := range servers(r.fault.Target[0]) {
		// Another fault may still want it down.
		held := slices.ContainsFunc(r.set.active, func(e entry) bool {
			return e.Name == r.fault.Name && slices.Contains(servers(e.Target[0]), name)
		})
		if !held {
			errs = append(errs, r.lab.PowerServer(r.ctx, name, true))
		}
	}
	return errors.Join(errs...)
}

func (r *run) volume() error {
	if err := r.up(); err != nil {
		return err
	}
	if r.node.Volume == "" {
		return fmt.Errorf("node %d (%s) has no volume", r.node.Index, r.node.Name)
	}
	return nil
}

func fillDisk(r *run) error {
	if err := r.volume(); err != nil {
		return err
	}
	r.kept["volume"] = r.node.Volume
	return r.lab.FillVolume(r.ctx, r.node.Instance, r.node.Volume)
}

func emptyDisk(r *run) error {
	if r.volume() != nil {
		if r.kept["volume"] == "" {
			return nil
		}
		return fmt.Errorf("the disk can be freed once node %d (%s) runs with its volume", r.node.Index, r.node.Name)
	}
	return r.lab.EmptyVolume(r.node.Instance, r.node.Volume)
}

func detachVolume(r *run) error {
	if r.kept["instance"] == r.node.Instance && r.node.Instance != "" {
		return nil
	}
	if err := r.volume(); err != nil {
		return err
	}
	instance, device, err := r.lab.PullVolume(r.ctx, r.node.Volume)
	if instance != "" {
		r.kept["instance"], r.kept["device"] = instance, device
	}
	if err == nil && instance == "" {
		err = fmt.Errorf("the volume of node %d (%s) is not attached", r.node.Index, r.node.Name)
	}
	return err
}

// attachVolume gives the volume back to the instance that lost it. One that came
// after it has attached it by its boot script.
func attachVolume(r *run) error {
	if r.kept["instance"] == "" || r.kept["instance"] != r.node.Instance {
		return nil
	}
	if r.node.State == stateRunning {
		if err := r.lab.StopInstance(r.ctx, r.node.Instance); err != nil {
			return err
		}
	}
	if err := r.lab.PushVolume(r.ctx, r.node.Instance, r.node.Volume, r.kept["device"]); err != nil {
		return err
	}
	return r.lab.StartInstance(r.ctx, r.node.Instance)
}

// api tells the cloud all that its API suffers from now.
func api(r *run) error {
	var delay time.Duration
	var all []cloud.APIFault
	for _, e := range r.set.active {
		switch e.Name {
		case "slow-api":
			d, err := time.ParseDuration(e.Target[0])
			if err != nil {
				return err
			}
			delay = d
		case "fail-api":
			c, ok := findCode(e.Target[0])
			if !ok {
				continue
			}
			f := cloud.APIFault{Status: c.status, Code: c.code, Message: c.message, Match: e.Match, Rate: e.Rate, Until: e.Until, Done: c.code == lostAnswer}
			if f.Rate == 0 {
				f.Rate = 1
			}
			all = slices.Insert(all, 0, f) // the newest decides
		}
	}
	r.lab.SetTroubles(delay, all)
	return nil
}
