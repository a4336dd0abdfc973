package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/guest"
)

// hierarchies reads the host's cgroup mounts.
func hierarchies() ([]guest.Cgroup, error) {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(raw)), nil
}

// parseHierarchies keeps the first mount of each hierarchy. Of version 1 options
// only the controllers and the name count: the rest are flags.
func parseHierarchies(mounts string) []guest.Cgroup {
	var out []guest.Cgroup
	seen := map[string]bool{}
	for _, l := range strings.Split(mounts, "\n") {
		f := strings.Fields(l)
		if len(f) < 4 || f[2] != "cgroup" && f[2] != "cgroup2" {
			continue
		}
		c := guest.Cgroup{Mount: f[1], Type: f[2]}
		if f[2] == "cgroup" {
			var keep []string
			for _, o := range strings.Split(f[3], ",") {
				switch o {
				case "rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr", "clone_children", "noprefix":
					continue
				}
				if strings.HasPrefix(o, "release_agent=") {
					continue
				}
				if strings.HasPrefix(o, "name=") {
					o = "none," + o
				}
				keep = append(keep, o)
			}
			c.Options = strings.Join(keep, ",")
		}
		if key := c.Type + c.Options; !seen[key] {
			seen[key] = true
			out = append(out, c)
		}
	}
	return out
}

// makeCgroups makes <hierarchy>/<lab>/<short> everywhere, so that what an
// instance's Docker and Nomad make lies below one directory and goes with it.
func makeCgroups(lab, short string) ([]guest.Cgroup, error) {
	groups, err := hierarchies()
	if err != nil {
		return nil, fmt.Errorf("reading the cgroup mounts: %w", err)
	}
	for i, g := range groups {
		dir := filepath.Join(g.Mount, lab)
		for _, d := range []string{dir, filepath.Join(dir, short)} {
			if g.Type == "cgroup2" {
				shareControllers(filepath.Dir(d))
			}
			if err := os.MkdirAll(d, 0o755); err != nil {
				return nil, fmt.Errorf("making cgroup %s: %w", d, err)
			}
			// A version 1 cpuset takes no process before it has processors and memory.
			for _, k := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(d, k); err != nil {
					return nil, fmt.Errorf("making cgroup %s: %w", d, err)
				}
			}
		}
		groups[i].Path = filepath.Join(dir, short)
	}
	return groups, nil
}

// shareControllers enables what it can for the children of a version 2 directory.
// One that cannot be enabled is one that instances do without.
func shareControllers(dir string) {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(available)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
	}
}

func inherit(dir, key string) error {
	own, err := os.ReadFile(filepath.Join(dir, key))
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(own)) != "" {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(parent)) == "" {
		return nil // version 2 inherits by itself
	}
	return os.WriteFile(filepath.Join(dir, key), parent, 0)
}

// removeCgroups removes the lab's directories, or one instance's. Processes that
// just died leave their groups busy for a moment.
func removeCgroups(lab, short string) error {
	groups, err := hierarchies()
	if err != nil {
		return err
	}
	var faults []error
	for _, g := range groups {
		top := filepath.Join(g.Mount, lab, short)
		var last error
		if !waitUntil(5*time.Second, func() bool { last = removeTree(top); return last == nil }) {
			faults = append(faults, fmt.Errorf("removing cgroup %s: %w", top, last))
		}
	}
	return errors.Join(faults...)
}

// removeTree removes directories from the leaves up; their files are the kernel's.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	err = syscall.Rmdir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
