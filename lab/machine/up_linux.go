package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/guest"
	"github.com/emqx-oci/emqx-oci/lab/images"
)

// Up builds the lab, or goes on from wherever an earlier Up got to; a running lab
// is adopted as it is. It returns when the servers have leaders and the images
// are there. This process then serves the lab until Close.
func (m *Machine) Up(ctx context.Context) error {
	if err := checkRequirements(m.cfg); err != nil {
		return err
	}
	if err := m.takeLock(); err != nil {
		return err
	}
	if err := m.up(ctx); err != nil {
		return errors.Join(fmt.Errorf("building the lab: %w", err), m.Close())
	}
	return nil
}

func (m *Machine) up(ctx context.Context) error {
	// First, because a port in use is the likeliest fault, and then nothing is built.
	if err := m.openDoors(ctx); err != nil {
		return err
	}
	if err := m.buildNetwork(ctx); err != nil {
		return err
	}
	var records []cloud.Record
	if err := readJSON(m.path("zone.json"), &records); err == nil {
		if err := m.zone.set(records); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, p := range []netip.Prefix{internetNet, foreignNet, serverNet} {
		stop, err := m.serveDNS(ctx, m.ns(nsGateway), gatewayOf(p))
		if err != nil {
			return err
		}
		m.onClose(stop)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.startServers(gctx) })
	g.Go(func() error { return m.ensureImages(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	return m.adopt(ctx)
}

func (m *Machine) ensureImages(ctx context.Context) error {
	if err := os.MkdirAll(m.path("images"), 0o755); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, i := range m.cfg.Images {
		g.Go(func() error {
			_, err := m.ensureImage(ctx, i)
			return err
		})
	}
	return g.Wait()
}

func (m *Machine) ensureImage(ctx context.Context, i Image) (archive string, err error) {
	archive, from, err := images.Ensure(ctx, i.Ref, m.path("images"), i.Build)
	if err != nil {
		return "", err
	}
	m.cfg.Log("image %s: %s", i.Ref, map[images.Origin]string{
		images.Given:  "from the archive that was given",
		images.Pulled: "the registry's",
		images.Built:  "made on the spot under that name, because it cannot be pulled here",
	}[from])
	return archive, nil
}

// AddImage makes one more image known to all instances, the running ones too: what
// a registry does for a stack that changes its image.
func (m *Machine) AddImage(ctx context.Context, i Image) error {
	archive, err := m.ensureImage(ctx, i)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range m.records() {
		if !r.Proc.alive() {
			continue
		}
		g.Go(func() error {
			var out strings.Builder
			// A Docker that does not run yet loads all when it starts.
			code, err := m.Exec(ctx, r.Spec.ID, []string{"sh", "-c", `systemctl is-active --quiet docker || exit 0; docker load --quiet --input "$1"`, "sh", guest.ImageDir + "/" + filepath.Base(archive)}, Stdio{Out: &out, Err: &out})
			if err == nil && code != 0 {
				err = fmt.Errorf("docker load ended with %d: %s", code, strings.TrimSpace(out.String()))
			}
			if err != nil {
				return fmt.Errorf("adding image %s to %s: %w", i.Ref, r.Spec.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// buildNetwork makes the gateway and the namespaces that are always there.
func (m *Machine) buildNetwork(ctx context.Context) error {
	gwNS := m.ns(nsGateway)
	if !isNetNS(netnsPath(gwNS)) {
		// A new gateway has no rules, whatever an old one had.
		if err := os.Remove(m.path("timeouts.nft")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, n := range []string{nsGateway, nsServers, nsInternet, nsForeign} {
		if err := ensureNetNS(m.ns(n)); err != nil {
			return err
		}
	}
	gw, err := openLinks(gwNS)
	if err != nil {
		return err
	}
	defer gw.close()
	if err := gw.up("lo"); err != nil {
		return err
	}
	if err := gw.address("lo", netip.PrefixFrom(gatewayOf(publicNet), 32)); err != nil {
		return err
	}
	if err := nft(ctx, gwNS, gatewayRules("v-"+nsInternet)); err != nil {
		return err
	}
	if err := setSysctl(gwNS, map[string]string{
		"ipv4/ip_forward":         "1",
		"ipv4/conf/all/rp_filter": "0",
		// A flow that went idle for too long is gone: its next packet must not
		// make a new one in the middle.
		"netfilter/nf_conntrack_tcp_loose": "0",
	}); err != nil {
		return err
	}
	internet := []netip.Addr{internetAddress}
	for a := internetAddress.Next(); a.As4()[3] <= internetLast; a = a.Next() {
		internet = append(internet, a)
	}
	for _, e := range []struct {
		ns     string
		subnet netip.Prefix
		addrs  []netip.Addr
	}{
		{nsServers, serverNet, []netip.Addr{serverAddress}},
		{nsForeign, foreignNet, []netip.Addr{foreignAddress}},
		{nsInternet, internetNet, internet},
	} {
		if err := m.attach(m.ns(e.ns), "v-"+e.ns, "eth0", e.subnet, e.addrs, []netip.Prefix{e.subnet}); err != nil {
			return err
		}
	}
	return nil
}

// Down ends the lab and removes all of it, whatever state it is in. It needs no
// Up before, and goes on after a fault, so that one stuck thing leaves only itself.
func (m *Machine) Down(ctx context.Context) error {
	if err := needRoot(); err != nil {
		return fmt.Errorf("removing the lab needs %w", err)
	}
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	note(m.Close())
	if err := m.awaitLock(ctx); err != nil {
		return fmt.Errorf("removing the lab: %w", err)
	}
	// Power off, not shut down: nobody is left whom a clean leave would help.
	var g errgroup.Group
	for _, r := range m.records() {
		g.Go(func() error { return r.Proc.end(unix.SIGKILL, 0) })
	}
	for _, s := range m.servers() {
		var p procID
		if readJSON(m.serverFile(s), &p) == nil {
			g.Go(func() error { return p.end(syscall.SIGKILL, 0) })
		}
	}
	note(g.Wait())
	// What was started but not recorded, and commands of `lab exec`, are found by
	// the namespaces they live in.
	names, err := m.namespaces()
	note(err)
	var kill errgroup.Group
	for _, n := range names {
		kill.Go(func() error { return endAllIn(n) })
	}
	note(kill.Wait())
	for _, n := range names {
		note(removeNetNS(n))
	}
	note(removeCgroups(m.cfg.Name, ""))
	note(m.removeMounts())
	note(unbindLoops(func(file string) bool { return strings.HasPrefix(file, m.cfg.Dir+"/") }))
	if len(faults) > 0 {
		// The folder stays: it is what a second Down finds the rest by.
		return fmt.Errorf("removing the lab: %w", errors.Join(faults...))
	}
	var last error
	// Mounts of a namespace whose last process just died go a moment later.
	if !waitUntil(10*time.Second, func() bool { last = os.RemoveAll(m.cfg.Dir); return last == nil }) {
		return fmt.Errorf("removing the lab's folder: %w", last)
	}
	if m.lock != nil {
		m.lock.Close()
		m.lock = nil
	}
	return nil
}

// awaitLock takes over from a daemon that is just ending; one that goes on would
// build again what is being removed.
func (m *Machine) awaitLock(ctx context.Context) error {
	if _, err := os.Stat(m.cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var last error
	ok := waitUntil(10*time.Second, func() bool { last = m.takeLock(); return last == nil || ctx.Err() != nil })
	if err := ctx.Err(); err != nil {
		return err
	}
	if !ok {
		return last
	}
	return nil
}

// records reads all instances from disk.
func (m *Machine) records() []record {
	files, err := filepath.Glob(m.path("instances", "*", "instance.json"))
	if err != nil {
		return nil
	}
	var out []record
	for _, f := range files {
		var r record
		if readJSON(f, &r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// namespaces lists the lab's by name; a lab's name has no dash.
func (m *Machine) namespaces() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), m.cfg.Name+"-") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// removeMounts takes away what is mounted below the folder in this mount
// namespace. The lab mounts nothing there; a process that was killed between two
// steps, or a curious hand, may have.
func (m *Machine) removeMounts() error {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var faults []error
	lines := strings.Split(string(raw), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		f := strings.Fields(lines[i])
		if len(f) > 4 && strings.HasPrefix(f[4], m.cfg.Dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				faults = append(faults, fmt.Errorf("unmounting %s: %w", f[4], err))
			}
		}
	}
	return errors.Join(faults...)
}
