package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// record is what stands on disk about an instance.
type record struct {
	Spec    cloud.InstanceSpec
	Short   string
	Proc    procID            // PID 1; zero before it was started
	Volumes map[string]string // volume ID to device
}

// veth is the gateway's end; interface names have at most 15 characters.
func (r record) veth() string { return "v-" + digest(r.Spec.ID) }

// instance is a record and what this process serves for it.
type instance struct {
	file string

	mu   sync.Mutex
	rec  record
	stop []func() // metadata, DNS, API
}

func (i *instance) get() record {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := i.rec
	r.Volumes = make(map[string]string, len(i.rec.Volumes))
	for k, v := range i.rec.Volumes {
		r.Volumes[k] = v
	}
	return r
}

func (i *instance) update(f func(*record)) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.rec)
	return writeJSON(i.file, i.rec)
}

func (i *instance) closeServers() {
	i.mu.Lock()
	stop := i.stop
	i.stop = nil
	i.mu.Unlock()
	for _, f := range stop {
		f()
	}
}

// instanceNIC is the name of an instance's interface, Ubuntu's on OCI.
const instanceNIC = "ens3"

// LaunchInstance makes the instance and starts its PID 1, which fetches and runs
// the user data. It returns when PID 1 runs; a living instance is left as it is.
func (m *Machine) LaunchInstance(ctx context.Context, s cloud.InstanceSpec) error {
	job := m.job(s.ID)
	job.Lock()
	defer job.Unlock()
	if m.InstanceAlive(s.ID) {
		return nil
	}
	if !privateNet.Contains(s.Address) {
		return fmt.Errorf("launching instance %s: address %s is not in the private subnet %s", s.Name, s.Address, privateNet)
	}
	if err := m.launch(ctx, s); err != nil {
		return fmt.Errorf("launching instance %s: %w", s.Name, err)
	}
	return nil
}

func (m *Machine) launch(ctx context.Context, s cloud.InstanceSpec) error {
	short := shortName(s)
	dir := m.path("instances", short)
	i := m.get(s.ID)
	if i == nil {
		i = &instance{file: filepath.Join(dir, "instance.json"), rec: record{Spec: s, Short: short, Volumes: map[string]string{}}}
	}
	// On disk before anything is made, so that Down finds whatever gets made.
	if err := i.update(func(r *record) { r.Proc, r.Volumes = procID{}, map[string]string{} }); err != nil {
		return err
	}
	m.mu.Lock()
	m.instances[s.ID] = i
	fw, known := m.pending[s.ID]
	m.mu.Unlock()
	// What a killed process left of an earlier try.
	if err := m.clear(i.get()); err != nil {
		return err
	}
	for _, d := range []string{"scratch", "api", "log/journal", "disk/docker", "disk/consul", "disk/nomad"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := m.plug(ctx, i.get(), fw, known); err != nil {
		return err
	}
	if err := m.serveInstance(ctx, i); err != nil {
		return err
	}
	groups, err := makeCgroups(m.cfg.Name, short)
	if err != nil {
		return err
	}
	spec, err := m.spec(i.get(), groups)
	if err != nil {
		return err
	}
	specFile := filepath.Join(dir, "spec.json")
	if err := writeJSON(specFile, spec); err != nil {
		return err
	}
	return m.startPID1(ctx, i, specFile)
}

// plug gives the instance its network: closed until its security groups are known.
func (m *Machine) plug(ctx context.Context, r record, fw cloud.Firewall, known bool) error {
	ns := m.ns(r.Short)
	if err := ensureNetNS(ns); err != nil {
		return err
	}
	if !known {
		fw = cloud.Firewall{
			Addresses: []netip.Addr{r.Spec.Address},
			Egress:    []cloud.Rule{{Protocol: "all", CIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}},
		}
	}
	if err := nft(ctx, ns, firewallRules(fw)); err != nil {
		return err
	}
	if err := m.attach(ns, r.veth(), instanceNIC, privateNet, []netip.Addr{r.Spec.Address}, nil); err != nil {
		return err
	}
	in, err := openLinks(ns)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.address("lo", netip.PrefixFrom(metadataAddress, 32)); err != nil {
		return err
	}
	return m.applyFirewall(ctx, r, fw)
}

// startPID1 starts the guest in namespaces of its own, and waits until it has become
// the systemd of a complete root that takes signals and systemctl's calls.
func (m *Machine) startPID1(ctx context.Context, i *instance, specFile string) error {
	r := i.get()
	console, err := os.OpenFile(m.path("instances", r.Short, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	status, child, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	cmd := exec.Command(m.cfg.GuestBinary, "launch", specFile) //nolint:noctx // it outlives this call and this process
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{child}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // it outlives this process and its terminal
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID,
	}
	err = inNetNS(m.ns(r.Short), cmd.Start)
	child.Close()
	if err != nil {
		return fmt.Errorf("starting PID 1: %w", err)
	}
	proc := identify(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // reaps it; how it ended is in its own log
	if err := i.update(func(r *record) { r.Proc = proc }); err != nil {
		return errors.Join(err, proc.end(unix.SIGKILL, 0))
	}
	stop := context.AfterFunc(ctx, func() { _ = status.SetReadDeadline(time.Now()) })
	defer stop()
	if err := status.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	said, err := io.ReadAll(status)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && len(said) > 0:
		err = errors.New(strings.TrimSpace(string(said)))
	case err == nil:
		if waitUntil(30*time.Second, func() bool { return proc.running() || !proc.alive() || ctx.Err() != nil }); proc.running() {
			return nil
		}
		err = fmt.Errorf("systemd is not up; what it said is in %s", m.path("instances", r.Short, "log", "console.log"))
	}
	return errors.Join(fmt.Errorf("starting PID 1: %w; see %s", err, console.Name()), proc.end(unix.SIGKILL, 0))
}

// TerminateInstance ends everything inside the instance and removes its files. A
// living one gets time to stop its services, in their order, as a cloud's does.
func (m *Machine) TerminateInstance(_ context.Context, id string) error {
	job := m.job(id)
	job.Lock()
	defer job.Unlock()
	m.mu.Lock()
	i := m.instances[id]
	delete(m.pending, id)
	m.mu.Unlock()
	if i == nil {
		return nil
	}
	if err := m.remove(i, terminateGrace); err != nil {
		return fmt.Errorf("terminating instance %s: %w", i.get().Spec.Name, err)
	}
	m.mu.Lock()
	delete(m.instances, id)
	m.mu.Unlock()
	return nil
}

// terminateGrace is how long units may take to stop when the instance is ended: enough to
// move the clients of a broker and for a Consul client to leave its cluster (about 4 s).
// OCI's soft stop gives 15 minutes; of a termination its documents say nothing.
const terminateGrace = 2 * time.Minute

func (m *Machine) remove(i *instance, grace time.Duration) error {
	r := i.get()
	if err := r.Proc.powerOff(grace); err != nil {
		return err
	}
	i.closeServers()
	if err := m.clear(r); err != nil {
		return err
	}
	return os.RemoveAll(m.path("instances", r.Short))
}

// clear takes away all that an instance has outside its folder.
func (m *Machine) clear(r record) error {
	ns := m.ns(r.Short)
	if err := endAllIn(ns); err != nil {
		return err
	}
	if err := removeNetNS(ns); err != nil {
		return err
	}
	// Without waiting for the namespace's end, which the kernel does in its own time.
	if gw, err := openLinks(m.ns(nsGateway)); err == nil {
		err = gw.remove(r.veth())
		gw.close()
		if err != nil {
			return err
		}
	}
	for id := range r.Volumes {
		p, err := m.volumePath(id)
		if err != nil {
			return err
		}
		m.volumes.Lock()
		err = unbindLoops(func(file string) bool { return file == p })
		m.volumes.Unlock()
		if err != nil {
			return fmt.Errorf("freeing volume %s: %w", id, err)
		}
	}
	return removeCgroups(m.cfg.Name, r.Short)
}

// adopt reads the instances on disk. Dead ones are kept: whoever launched them
// finds out by InstanceAlive.
func (m *Machine) adopt(ctx context.Context) error {
	files, err := filepath.Glob(m.path("instances", "*", "instance.json"))
	if err != nil {
		return err
	}
	for _, f := range files {
		i := &instance{file: f}
		if err := readJSON(f, &i.rec); err != nil {
			return err
		}
		if i.rec.Volumes == nil {
			i.rec.Volumes = map[string]string{}
		}
		m.mu.Lock()
		_, known := m.instances[i.rec.Spec.ID]
		if !known {
			m.instances[i.rec.Spec.ID] = i
		}
		m.mu.Unlock()
		if known || !i.rec.Proc.alive() {
			continue
		}
		if err := m.serveInstance(ctx, i); err != nil {
			return fmt.Errorf("adopting instance %s: %w", i.rec.Spec.Name, err)
		}
	}
	return nil
}

func writeText(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
