package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// statusFD is the pipe on which launch tells the machine why PID 1 could not be
// started; when it is, the pipe ends.
const statusFD = 3

// Launch builds the root of an instance and replaces itself by its PID 1. The
// caller has already made the namespaces (mount, UTS, IPC, PID) and is in the
// instance's network namespace.
func Launch(specPath string) error {
	syscall.CloseOnExec(statusFD)
	err := launch(specPath)
	status := os.NewFile(statusFD, "status")
	fmt.Fprintf(status, "%v", err)
	status.Close()
	return err
}

func launch(specPath string) error {
	raw, err := os.ReadFile(specPath)
	if err != nil {
		return fmt.Errorf("reading the instance's spec: %w", err)
	}
	var s Spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("reading the instance's spec %s: %w", specPath, err)
	}
	// unshare acts on one thread only; exec then makes this thread the process.
	runtime.LockOSThread()
	for _, c := range s.Cgroups {
		if err := os.WriteFile(filepath.Join(c.Path, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("joining cgroup %s: %w", c.Path, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	root, err := overlayRoot(s.Scratch)
	if err != nil {
		return err
	}
	if err := populate(root, s); err != nil {
		return err
	}
	if err := pivot(root); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("setting the host name %q: %w", s.Hostname, err)
	}
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "container=oci-lab",
	}
	if err := startConsole(env); err != nil {
		return err
	}
	return fmt.Errorf("becoming %s: %w", Systemd, syscall.Exec(Systemd, []string{"systemd"}, env))
}

func overlayRoot(scratch string) (string, error) {
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=0755,size=2g"); err != nil {
		return "", fmt.Errorf("mounting the scratch file system on %s: %w", scratch, err)
	}
	dirs := map[string]string{}
	for _, d := range []string{"upper", "work", "root"} {
		dirs[d] = filepath.Join(scratch, d)
		if err := os.Mkdir(dirs[d], 0o755); err != nil {
			return "", err
		}
	}
	opts := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", dirs["upper"], dirs["work"])
	if err := unix.Mount("overlay", dirs["root"], "overlay", 0, opts); err != nil {
		return "", fmt.Errorf("mounting the instance's root (overlayfs over /): %w", err)
	}
	return dirs["root"], nil
}

const cgroupRoot = "/sys/fs/cgroup"

// mount is one line of the instance's mount table.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

// kernelMounts are the file systems of the kernel that every root has.
func kernelMounts(groups []Cgroup) []mount {
	const safe = unix.MS_NOSUID | unix.MS_NODEV
	mounts := []mount{
		{"proc", "/proc", "proc", safe | unix.MS_NOEXEC, ""},
		// Fresh, so that /sys/class/net is the instance's; read-only, because the
		// rest of it is the host's.
		{"sysfs", "/sys", "sysfs", safe | unix.MS_NOEXEC | unix.MS_RDONLY, ""},
		{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=0755"},
		{"tmpfs", "/run", "tmpfs", safe, "mode=0755"},
		{"tmpfs", "/tmp", "tmpfs", safe, "mode=1777"},
	}
	// The hierarchies of version 1 are folders of a tmpfs, and by that Nomad knows version 1
	// (client/lib/cgroupslib); version 2 is mounted there itself.
	if !slices.ContainsFunc(groups, func(c Cgroup) bool { return c.Mount == cgroupRoot }) {
		mounts = append(mounts, mount{"tmpfs", cgroupRoot, "tmpfs", safe | unix.MS_NOEXEC, "mode=0755"})
	}
	return mounts
}

func populate(root string, s Spec) error {
	in := func(p string) string { return filepath.Join(root, p) }
	mounts := kernelMounts(s.Cgroups)
	for _, h := range s.Hide {
		if st, err := os.Stat(in(h)); err == nil && st.IsDir() {
			mounts = append(mounts, mount{"tmpfs", h, "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"})
		}
	}
	for _, m := range mounts {
		if err := os.MkdirAll(in(m.target), 0o755); err != nil {
			return fmt.Errorf("making %s: %w", m.target, err)
		}
		if err := unix.Mount(m.source, in(m.target), m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.fstype, m.target, err)
		}
	}
	if err := mountCgroups(root, s.Cgroups); err != nil {
		return err
	}
	if err := makeDevices(in("/dev")); err != nil {
		return err
	}
	if err := guardProc(root); err != nil {
		return err
	}
	for _, f := range s.Remove {
		if err := os.Remove(in(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", f, err)
		}
	}
	for _, d := range s.Dirs {
		if err := os.MkdirAll(in(d), 0o755); err != nil {
			return fmt.Errorf("making %s: %w", d, err)
		}
	}
	for _, f := range s.Files {
		mode := os.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o644
		}
		if err := replaceFile(in(f.Path), f.Content, mode); err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	for _, l := range s.Links {
		if err := os.MkdirAll(filepath.Dir(in(l.Path)), 0o755); err != nil {
			return err
		}
		if err := os.Remove(in(l.Path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replacing %s: %w", l.Path, err)
		}
		if err := os.Symlink(l.Target, in(l.Path)); err != nil {
			return err
		}
	}
	for _, b := range s.Binds {
		if err := bind(b, in(b.Target)); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile never writes through a link: the image's /etc/resolv.conf may be
// one that leads into the host's /run.
func replaceFile(path, content string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func bind(b Bind, target string) error {
	st, err := os.Stat(b.Source)
	if err != nil {
		return fmt.Errorf("binding %s: %w", b.Target, err)
	}
	if st.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if _, serr := os.Lstat(target); serr != nil {
		err = replaceFile(target, "", 0o755)
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", b.Target, err)
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", b.Source, b.Target, err)
	}
	// What is bound is on the machine's own disk.
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV)
	if b.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", target, "", flags, ""); err != nil {
		return fmt.Errorf("taking rights from %s: %w", b.Target, err)
	}
	return nil
}

// mountCgroups mounts every hierarchy of the host at the same place; inside the
// cgroup namespace each shows the instance's own directory as its root.
func mountCgroups(root string, groups []Cgroup) error {
	for _, c := range groups {
		target := filepath.Join(root, c.Mount)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		if err := unix.Mount(c.Type, target, c.Type, flags, c.Options); err != nil {
			return fmt.Errorf("mounting %s (%s): %w", c.Mount, c.Options, err)
		}
	}
	return nil
}

func makeDevices(dev string) error {
	type node struct {
		name         string
		major, minor uint32
		mode         uint32
	}
	for _, n := range []node{
		{"null", 1, 3, 0o666},
		{"zero", 1, 5, 0o666},
		{"full", 1, 7, 0o666},
		{"random", 1, 8, 0o666},
		{"urandom", 1, 9, 0o666},
		{"kmsg", 1, 11, 0o600},
		{"tty", 5, 0, 0o666},
		{"fuse", 10, 229, 0o666},
		{"loop-control", 10, 237, 0o660},
	} {
		p := filepath.Join(dev, n.name)
		if err := unix.Mknod(p, unix.S_IFCHR|n.mode, int(unix.Mkdev(n.major, n.minor))); err != nil {
			return fmt.Errorf("making /dev/%s: %w", n.name, err)
		}
		if err := os.Chmod(p, os.FileMode(n.mode)); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx", "core": "/proc/kcore",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, m := range []mount{
		{"devpts", "pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"},
		{"tmpfs", "shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"mqueue", "mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		// What the cloud attaches shows up here, and only in this instance.
		{"", "oracleoci", "", 0, ""},
	} {
		p := filepath.Join(dev, m.target)
		if err := os.Mkdir(p, 0o755); err != nil {
			return err
		}
		if m.fstype == "" {
			continue
		}
		if err := unix.Mount(m.source, p, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting /dev/%s: %w", m.target, err)
		}
	}
	return nil
}

// shadowed kernel settings are the host's, not the namespace's. A boot script may
// set them as on a machine of its own: it writes to a copy that nobody reads.
var shadowed = []string{
	"fs/file-max", "fs/nr_open", "fs/aio-max-nr",
	"fs/inotify/max_user_instances", "fs/inotify/max_user_watches",
	"kernel/pid_max", "kernel/threads-max",
	"vm/swappiness", "vm/max_map_count", "vm/overcommit_memory",
	"vm/dirty_ratio", "vm/dirty_background_ratio",
}

// guardProc makes kernel settings read-only except those of the instance's own
// network namespace.
func guardProc(root string) error {
	proc := filepath.Join(root, "proc")
	shadow := filepath.Join(root, "run", "lab-sysctl")
	if err := os.Mkdir(shadow, 0o755); err != nil {
		return err
	}
	sys := filepath.Join(proc, "sys")
	if err := unix.Mount(sys, sys, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding /proc/sys: %w", err)
	}
	if err := unix.Mount(filepath.Join(sys, "net"), filepath.Join(sys, "net"), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding /proc/sys/net: %w", err)
	}
	for _, key := range shadowed {
		value, err := os.ReadFile(filepath.Join(sys, key))
		if err != nil {
			continue // this kernel has no such setting
		}
		dup := filepath.Join(shadow, strings.ReplaceAll(key, "/", "."))
		if err := os.WriteFile(dup, value, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(dup, filepath.Join(sys, key), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("shadowing /proc/sys/%s: %w", key, err)
		}
	}
	const flags = unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("", sys, "", flags, ""); err != nil {
		return fmt.Errorf("making /proc/sys read-only: %w", err)
	}
	trigger := filepath.Join(proc, "sysrq-trigger")
	if err := unix.Mount(filepath.Join(root, "dev/null"), trigger, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("covering /proc/sysrq-trigger: %w", err)
	}
	return nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The new root covers the old one at the same place, so no directory for the
	// old root is needed.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// Container runtimes expect a shared root, as systemd makes it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	return nil
}
