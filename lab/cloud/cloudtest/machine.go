// Package cloudtest has a machine for tests of what stands before the lab's cloud: one
// on which everything works and nothing happens.
package cloudtest

import (
	"context"
	"net/http"
	"net/netip"
	"sync"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// Machine remembers which instances live, and nothing else. All health checks find
// what is healthy.
type Machine struct {
	mu    sync.Mutex
	alive map[string]bool
}

var _ cloud.Machine = (*Machine)(nil)

// NewMachine has no instances.
func NewMachine() *Machine { return &Machine{alive: map[string]bool{}} }

func (m *Machine) set(id string, alive bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alive[id] = alive
	return nil
}

// LaunchInstance lets it live.
func (m *Machine) LaunchInstance(_ context.Context, s cloud.InstanceSpec) error {
	return m.set(s.ID, true)
}

// TerminateInstance ends it.
func (m *Machine) TerminateInstance(_ context.Context, id string) error { return m.set(id, false) }

// PowerOff ends it, too.
func (m *Machine) PowerOff(_ context.Context, id string) error { return m.set(id, false) }

// InstanceAlive tells whether it was launched and has not ended.
func (m *Machine) InstanceAlive(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.alive[id]
}

func (*Machine) CreateVolume(context.Context, string, int, string) error    { return nil } //nolint:revive // nothing happens
func (*Machine) BackupVolume(context.Context, string, string) error         { return nil } //nolint:revive // nothing happens
func (*Machine) DeleteBackup(context.Context, string) error                 { return nil } //nolint:revive // nothing happens
func (*Machine) ResizeVolume(context.Context, string, int) error            { return nil } //nolint:revive // nothing happens
func (*Machine) DeleteVolume(context.Context, string) error                 { return nil } //nolint:revive // nothing happens
func (*Machine) AttachVolume(context.Context, string, string, string) error { return nil } //nolint:revive // nothing happens
func (*Machine) DetachVolume(context.Context, string, string) error         { return nil } //nolint:revive // nothing happens
func (*Machine) PullVolume(context.Context, string, string) error           { return nil } //nolint:revive // nothing happens
func (*Machine) SetFirewall(context.Context, string, cloud.Firewall) error  { return nil } //nolint:revive // nothing happens
func (*Machine) SetBalancers(context.Context, []cloud.Balancer) error       { return nil } //nolint:revive // nothing happens
func (*Machine) SetZone(context.Context, []cloud.Record) error              { return nil } //nolint:revive // nothing happens

// CheckHTTP finds everybody healthy.
func (*Machine) CheckHTTP(context.Context, netip.Addr, string) (int, error) {
	return http.StatusOK, nil
}
