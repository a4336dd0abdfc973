package machine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

var _ cloud.Machine = (*Machine)(nil)

// Machine is the lab on this Linux box.
type Machine struct {
	cfg Config

	mu        sync.Mutex
	handler   InstanceHandler
	instances map[string]*instance // by OCID
	pending   map[string]cloud.Firewall
	jobs      map[string]*sync.Mutex // one change of an instance at a time
	closers   []func()
	doors     map[uint16]bool // ports of the host that lead into the lab

	gateway sync.Mutex // one change of the balancers at a time
	volumes sync.Mutex // one change of the loop devices at a time
	zone    *zone
	lock    *os.File // held from Up to Close: one daemon per lab
}

// New checks the configuration; it touches nothing. What the lab needs of the
// machine is checked by Up: Down must work where something is missing by now.
func New(cfg Config) (*Machine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Machine{
		cfg: cfg, handler: cfg.Handler,
		instances: map[string]*instance{}, pending: map[string]cloud.Firewall{}, jobs: map[string]*sync.Mutex{},
		doors: map[uint16]bool{}, zone: newZone(cfg.Zone),
	}, nil
}

// SetHandler says who answers instances; before that they are told to wait.
func (m *Machine) SetHandler(h InstanceHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handler = h
}

func (m *Machine) getHandler() InstanceHandler {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handler
}

func (m *Machine) ns(short string) string { return m.cfg.Name + "-" + short }

func (m *Machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.cfg.Dir}, elem...)...)
}

// job is the lock of one instance; launch, terminate, attach and firewall of the
// same instance follow each other.
func (m *Machine) job(id string) *sync.Mutex {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs[id] == nil {
		m.jobs[id] = &sync.Mutex{}
	}
	return m.jobs[id]
}

func (m *Machine) get(id string) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.instances[id]
}

// onClose registers what Close ends; the lab itself goes on.
func (m *Machine) onClose(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closers = append(m.closers, f)
}

// Close ends what this process serves for the lab: doors, DNS, metadata. The lab
// itself goes on, and the next Up adopts it.
func (m *Machine) Close() error {
	m.mu.Lock()
	closers := m.closers
	m.closers = nil
	instances := m.instances
	m.instances = map[string]*instance{}
	m.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	for _, i := range instances {
		i.closeServers()
	}
	if m.lock != nil {
		m.lock.Close()
		m.lock = nil
	}
	return nil
}

// takeLock makes this process the lab's only daemon.
func (m *Machine) takeLock() error {
	if m.lock != nil {
		return nil
	}
	if err := OwnFolder(m.cfg.Dir); err != nil {
		return err
	}
	f, err := os.OpenFile(m.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking the lab: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("locking the lab in %s: %w: another process serves it", m.cfg.Dir, err)
	}
	m.lock = f
	return nil
}

// shortName makes an instance's name for namespaces and folders: readable, and
// different for each of the instances that a pool launches under one name.
func shortName(s cloud.InstanceSpec) string {
	return fmt.Sprintf("%s-%s", strings.Trim(cleanName(s.Name), "-"), digest(s.ID))
}

func cleanName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))[:8] }

// Instance describes one instance for status and logs.
type Instance struct {
	ID, Name string
	Address  netip.Addr
	PID      int // of its PID 1, as the host sees it
	Alive    bool
	NetNS    string
	LogDir   string // on the host: journal (journalctl -D), cloud-init-output.log, console.log, emqx-boot.log
}

// Instances lists all that this process knows, launched or adopted.
func (m *Machine) Instances() []Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Instance, 0, len(m.instances))
	for _, i := range m.instances {
		r := i.get()
		out = append(out, Instance{
			ID: r.Spec.ID, Name: r.Spec.Name, Address: r.Spec.Address, PID: r.Proc.PID, Alive: r.Proc.alive(),
			NetNS: m.ns(r.Short), LogDir: m.path("instances", r.Short, "log"),
		})
	}
	return out
}

// InstanceAlive reports whether the instance's PID 1 runs.
func (m *Machine) InstanceAlive(id string) bool {
	i := m.get(id)
	return i != nil && i.get().Proc.alive()
}

// KillInstance ends an instance (by name or OCID) as a power cut does; its files
// stay until it is terminated. It works from any process, as Exec does.
func (m *Machine) KillInstance(where string) error {
	r, err := m.findRunning(where)
	if err != nil {
		return fmt.Errorf("killing an instance: %w", err)
	}
	return r.Proc.end(unix.SIGKILL, 0)
}

var errDown = errors.New("the lab is not up")

// wait is a context's error with what was being done.
func wait(ctx context.Context, doing string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
