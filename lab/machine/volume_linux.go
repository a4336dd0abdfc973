package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var fileName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

func (m *Machine) volumePath(id string) (string, error) {
	if !fileName.MatchString(id) || strings.Trim(id, ".") == "" {
		return "", fmt.Errorf("volume %q: its name cannot be a file's", id)
	}
	return m.path("volumes", id+".img"), nil
}

// CreateVolume makes a sparse file without a file system, or with what a backup
// holds; an existing one is kept.
func (m *Machine) CreateVolume(ctx context.Context, id string, sizeGB int, backup string) error {
	p, err := m.volumePath(id)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return fmt.Errorf("creating volume %s: %w", id, err)
	}
	if backup != "" {
		if _, err := os.Stat(p); err == nil {
			return nil
		}
		from, err := m.backupPath(backup)
		if err == nil {
			err = copySparse(ctx, from, p)
		}
		if err != nil {
			return fmt.Errorf("creating volume %s from backup %s: %w", id, backup, err)
		}
		return nil
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("creating volume %s: %w", id, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("creating volume %s: %w", id, err)
	}
	if st.Size() > 0 {
		return nil
	}
	if err := f.Truncate(int64(sizeGB) << 30); err != nil {
		return fmt.Errorf("creating volume %s of %d GB: %w", id, sizeGB, err)
	}
	return nil
}

// ResizeVolume grows a volume, and its loop device if it has one.
func (m *Machine) ResizeVolume(_ context.Context, id string, sizeGB int) error {
	p, err := m.volumePath(id)
	if err != nil {
		return err
	}
	st, err := os.Stat(p)
	if err != nil {
		return fmt.Errorf("resizing volume %s: %w", id, err)
	}
	want := int64(sizeGB) << 30
	if want < st.Size() {
		return fmt.Errorf("resizing volume %s to %d GB: it has %d GB, and a block volume cannot shrink", id, sizeGB, st.Size()>>30)
	}
	if err := os.Truncate(p, want); err != nil {
		return fmt.Errorf("resizing volume %s: %w", id, err)
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	for _, n := range loopsOf(func(file string) bool { return file == p }) {
		f, err := os.OpenFile(loopPath(n), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("resizing volume %s: %w", id, err)
		}
		err = unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_CAPACITY, 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("resizing volume %s: telling /dev/loop%d: %w", id, n, err)
		}
	}
	return nil
}

// DeleteVolume removes the file. An unknown volume is success.
func (m *Machine) DeleteVolume(_ context.Context, id string) error {
	p, err := m.volumePath(id)
	if err != nil {
		return err
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	// What was pulled from an instance is mounted there, dead, until that ends: its
	// device goes then, and the file with it.
	if err := unbindLoops(func(file string) bool { return file == p }); err != nil && m.attachedTo(id) != "" {
		return fmt.Errorf("deleting volume %s: %w", id, err)
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting volume %s: %w", id, err)
	}
	return nil
}

// AttachVolume gives the volume a loop device and shows that one in the instance,
// under its own name and as device.
func (m *Machine) AttachVolume(ctx context.Context, instanceID, volumeID, device string) error {
	job := m.job(instanceID)
	job.Lock()
	defer job.Unlock()
	i := m.get(instanceID)
	if i == nil || !i.get().Proc.alive() {
		return fmt.Errorf("attaching volume %s: instance %s does not run", volumeID, instanceID)
	}
	if !strings.HasPrefix(device, "/dev/oracleoci/") || strings.Contains(device, "..") {
		return fmt.Errorf("attaching volume %s: device %q: must be /dev/oracleoci/<name>", volumeID, device)
	}
	p, err := m.volumePath(volumeID)
	if err != nil {
		return err
	}
	if other := m.attachedTo(volumeID); other != "" && other != instanceID {
		return fmt.Errorf("attaching volume %s: it is attached to instance %s; detach it there first", volumeID, other)
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	if _, there := i.get().Volumes[volumeID]; !there {
		// A file with two loop devices would be two caches over one file system:
		// wait until the last user's mount is really gone.
		if err := unbindLoops(func(file string) bool { return file == p }); err != nil {
			return fmt.Errorf("attaching volume %s: %w", volumeID, err)
		}
	}
	n, err := bindLoop(ctx, p)
	if err != nil {
		return fmt.Errorf("attaching volume %s: %w", volumeID, err)
	}
	if at := mountOf(i.get().Proc.PID, n); at != "" {
		// A daemon that was killed during a backup left it frozen; one that is not is no error.
		_ = frozen(filepath.Join(fmt.Sprintf("/proc/%d/root", i.get().Proc.PID), at), thawIoctl)
	}
	if err := i.update(func(r *record) { r.Volumes[volumeID] = device }); err != nil {
		return err
	}
	root := fmt.Sprintf("/proc/%d/root", i.get().Proc.PID)
	node := filepath.Join(root, loopPath(n))
	if err := os.Remove(node); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attaching volume %s: %w", volumeID, err)
	}
	if err := unix.Mknod(node, unix.S_IFBLK|0o660, int(unix.Mkdev(7, uint32(n)))); err != nil {
		return fmt.Errorf("attaching volume %s: making its device: %w", volumeID, err)
	}
	link := filepath.Join(root, device)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attaching volume %s: %w", volumeID, err)
	}
	if err := os.Symlink(loopPath(n), link); err != nil {
		return fmt.Errorf("attaching volume %s: %w", volumeID, err)
	}
	return nil
}

// DetachVolume takes the device away. Not attached is success.
func (m *Machine) DetachVolume(_ context.Context, instanceID, volumeID string) error {
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
	if !ok {
		return nil
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	if r.Proc.alive() {
		root := fmt.Sprintf("/proc/%d/root", r.Proc.PID)
		for _, n := range loopsOf(func(file string) bool { return file == p }) {
			os.Remove(filepath.Join(root, loopPath(n)))
		}
		os.Remove(filepath.Join(root, device))
	}
	if err := unbindLoops(func(file string) bool { return file == p }); err != nil {
		return fmt.Errorf("detaching volume %s from %s: %w; unmount it there", volumeID, instanceID, err)
	}
	return i.update(func(r *record) { delete(r.Volumes, volumeID) })
}

// attachedTo names the living instance that has the volume.
func (m *Machine) attachedTo(volumeID string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, i := range m.instances {
		r := i.get()
		if _, ok := r.Volumes[volumeID]; ok && r.Proc.alive() {
			return id
		}
	}
	return ""
}

func loopPath(n int) string { return fmt.Sprintf("/dev/loop%d", n) }

// loopsOf lists the loop devices whose backing file is wanted; a file that has
// been removed still counts.
func loopsOf(wanted func(file string) bool) []int {
	found, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil
	}
	var out []int
	for _, f := range found {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		file := strings.TrimSuffix(strings.TrimSpace(string(raw)), " (deleted)")
		if !wanted(file) {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(strings.Split(f, "/")[3], "loop"))
		if err == nil {
			out = append(out, n)
		}
	}
	return out
}

// bindLoop returns the file's loop device, a new one if it has none.
func bindLoop(ctx context.Context, file string) (int, error) {
	if have := loopsOf(func(f string) bool { return f == file }); len(have) > 0 {
		return have[0], nil
	}
	back, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer back.Close()
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer ctl.Close()
	for {
		if err := wait(ctx, "taking a loop device"); err != nil {
			return 0, err
		}
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return 0, fmt.Errorf("taking a loop device: %w", err)
		}
		dev, err := os.OpenFile(loopPath(n), os.O_RDWR, 0)
		if err != nil {
			return 0, fmt.Errorf("opening a loop device: %w", err)
		}
		cfg := unix.LoopConfig{Fd: uint32(back.Fd())}
		copy(cfg.Info.File_name[:], filepath.Base(file))
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &cfg)
		dev.Close()
		if errors.Is(err, unix.EBUSY) {
			continue // somebody else took it in between
		}
		if err != nil {
			return 0, fmt.Errorf("binding %s to a loop device: %w", file, err)
		}
		return n, nil
	}
}

// unbindLoops frees loop devices and waits until the kernel has let go of their
// files: while something has it mounted, clearing only marks a device.
func unbindLoops(wanted func(file string) bool) error {
	for _, n := range loopsOf(wanted) {
		dev, err := os.OpenFile(loopPath(n), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("freeing %s: %w", loopPath(n), err)
		}
		err = unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0)
		dev.Close()
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("freeing %s: %w", loopPath(n), err)
		}
	}
	if !waitUntil(10*time.Second, func() bool { return len(loopsOf(wanted)) == 0 }) {
		return errors.New("its loop device is still in use 10 s after it was freed")
	}
	return nil
}
