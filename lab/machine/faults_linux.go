package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// PowerOff ends everything inside the instance at once and keeps its files.
func (m *Machine) PowerOff(_ context.Context, id string) error {
	job := m.job(id)
	job.Lock()
	defer job.Unlock()
	i := m.get(id)
	if i == nil {
		return nil
	}
	r := i.get()
	if err := r.Proc.end(unix.SIGKILL, 0); err != nil {
		return fmt.Errorf("powering off %s: %w", r.Spec.Name, err)
	}
	i.closeServers()
	if err := m.clear(r); err != nil {
		return fmt.Errorf("powering off %s: %w", r.Spec.Name, err)
	}
	return i.update(func(r *record) { r.Volumes = map[string]string{} })
}

// shutdownIoctl is EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32); noLogFlush makes the
// file system stop as if its device had gone: nothing more is written, every
// operation fails with EIO (linux/fs/ext4/ioctl.c).
const (
	shutdownIoctl = 0x8004587d
	noLogFlush    = 2
)

// PullVolume takes the device away while it is in use. A loop device cannot be
// torn from a mounted file system, so that one is shut down: the programs see
// what they would see, and the device goes with its last user.
func (m *Machine) PullVolume(_ context.Context, instanceID, volumeID string) error {
	job := m.job(instanceID)
	job.Lock()
	defer job.Unlock()
	p, err := m.volumePath(volumeID)
	if err != nil {
		return err
	}
	i := m.get(instanceID)
	if i == nil {
		return nil
	}
	r := i.get()
	device, ok := r.Volumes[volumeID]
	if !ok || !r.Proc.alive() {
		return nil
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	root := fmt.Sprintf("/proc/%d/root", r.Proc.PID)
	for _, n := range loopsOf(func(file string) bool { return file == p }) {
		if at := mountOf(r.Proc.PID, n); at != "" {
			if err := shutDown(filepath.Join(root, at)); err != nil {
				return fmt.Errorf("pulling volume %s: %w", volumeID, err)
			}
		}
		os.Remove(filepath.Join(root, loopPath(n)))
		dev, err := os.OpenFile(loopPath(n), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("pulling volume %s: %w", volumeID, err)
		}
		err = unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0)
		dev.Close()
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("pulling volume %s: %w", volumeID, err)
		}
	}
	os.Remove(filepath.Join(root, device))
	return i.update(func(r *record) { delete(r.Volumes, volumeID) })
}

func shutDown(mount string) error {
	d, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdownIoctl, noLogFlush); err != nil {
		return fmt.Errorf("shutting down the file system on %s: %w", mount, err)
	}
	return nil
}

// mountOf is where the process's mount namespace has loop device n mounted, "" when nowhere.
func mountOf(pid, n int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(raw), "\n") {
		// 36 35 7:0 / /opt/emqx/data rw,noatime ...
		if f := strings.Fields(line); len(f) > 4 && f[2] == "7:"+strconv.Itoa(n) && f[3] == "/" {
			return f[4]
		}
	}
	return ""
}

// fillName is the file that takes what is free on a volume.
const fillName = ".lab-fault-fill"

// volumeRoot is the mounted volume as this process reaches it.
func (m *Machine) volumeRoot(instanceID, volumeID string) (string, error) {
	p, err := m.volumePath(volumeID)
	if err != nil {
		return "", err
	}
	i := m.get(instanceID)
	if i == nil || !i.get().Proc.alive() {
		return "", fmt.Errorf("instance %s does not run", instanceID)
	}
	pid := i.get().Proc.PID
	for _, n := range loopsOf(func(file string) bool { return file == p }) {
		if at := mountOf(pid, n); at != "" {
			return filepath.Join(fmt.Sprintf("/proc/%d/root", pid), at), nil
		}
	}
	return "", fmt.Errorf("volume %s is not mounted in instance %s", volumeID, instanceID)
}

// FillVolume leaves nothing free on a mounted volume, for root neither.
func (m *Machine) FillVolume(ctx context.Context, instanceID, volumeID string) error {
	root, err := m.volumeRoot(instanceID, volumeID)
	if err != nil {
		return fmt.Errorf("filling a disk: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(root, fillName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("filling a disk: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("filling a disk: %w", err)
	}
	end := st.Size()
	// Blocks that the file's own tree needs are not foreseen: halve until one block
	// does not fit.
	for chunk := int64(1) << 40; chunk >= 4096; {
		if err := wait(ctx, "filling a disk"); err != nil {
			return err
		}
		var s unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
			return fmt.Errorf("filling a disk: %w", err)
		}
		chunk = min(chunk, int64(s.Bfree)*s.Bsize)
		if chunk < 4096 {
			break
		}
		switch err := unix.Fallocate(int(f.Fd()), 0, end, chunk); {
		case err == nil:
			end += chunk
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EFBIG):
			// What did fit stays allocated; the file's size says where to go on.
			if st, err := f.Stat(); err == nil {
				end = max(end, st.Size())
			}
			chunk = chunk / 2 &^ 4095
		case errors.Is(err, unix.EINTR):
		default:
			return fmt.Errorf("filling a disk: %w", err)
		}
	}
	return nil
}

// EmptyVolume undoes FillVolume. A volume that is not mounted has nothing to undo.
func (m *Machine) EmptyVolume(instanceID, volumeID string) error {
	root, err := m.volumeRoot(instanceID, volumeID)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(root, fillName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("freeing a disk: %w", err)
	}
	return nil
}

// containerOf finds the one container of a task: Nomad names it <task>-<allocation>
// and labels it with the allocation's id.
const containerOf = `docker ps --quiet --no-trunc --filter label=com.hashicorp.nomad.alloc_id --filter "name=^/?$1-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"`

// Container names the running container of a task in an instance (OCID or name).
func (m *Machine) Container(ctx context.Context, where, task string) (string, error) {
	out, err := m.script(ctx, where, containerOf, task)
	if err != nil {
		return "", fmt.Errorf("looking for the container of task %s: %w", task, err)
	}
	ids := strings.Fields(out)
	if len(ids) != 1 {
		return "", fmt.Errorf("%d containers of task %s run there, not one", len(ids), task)
	}
	return ids[0], nil
}

// Signal sends a signal to every process of a container. One that is gone is success.
func (m *Machine) Signal(ctx context.Context, where, container string, sig syscall.Signal) error {
	_, err := m.script(ctx, where, `[ "$(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null)" = true ] || exit 0
for p in $(docker top "$1" -eo pid | tail -n +2); do kill -"$2" "$p" && done=1; done # some end meanwhile
[ -n "$done" ]`, container, strconv.Itoa(int(sig)))
	if err != nil {
		return fmt.Errorf("sending %s to a container of %s: %w", sig, where, err)
	}
	return nil
}

// script runs a few lines of shell in an instance and returns what they print.
func (m *Machine) script(ctx context.Context, where, text string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var out, fault strings.Builder
	code, err := m.Exec(ctx, where, append([]string{"sh", "-c", text, "sh"}, args...), Stdio{Out: &out, Err: &fault})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit %d: %s", code, strings.TrimSpace(fault.String()))
	}
	return out.String(), err
}

// ServerAddress is that of [ServerAddress].
func (*Machine) ServerAddress() netip.Addr { return serverAddress }

// SetCuts replaces all cuts of the lab's network.
func (m *Machine) SetCuts(ctx context.Context, cuts []Cut) error {
	if err := nft(ctx, m.ns(nsGateway), cutRules(cuts)); err != nil {
		return fmt.Errorf("cutting the network: %w", err)
	}
	return nil
}

// PowerServer stops one of the servers ("consul" or "nomad") as a power cut does,
// or starts it again and waits for its leader.
func (m *Machine) PowerServer(ctx context.Context, name string, on bool) error {
	at := slices.IndexFunc(m.servers(), func(s server) bool { return s.name == name })
	if at < 0 {
		return fmt.Errorf("no server %q: there are consul and nomad", name)
	}
	s := m.servers()[at]
	if on {
		if err := m.startServer(s); err != nil {
			return err
		}
		return m.awaitLeader(ctx, s)
	}
	var p procID
	if err := readJSON(m.serverFile(s), &p); err != nil {
		return fmt.Errorf("stopping the %s server: %w", name, err)
	}
	return p.end(syscall.SIGKILL, 0)
}
