package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// procID names a process for good: pids are used again, start times within one
// boot are not.
type procID struct {
	PID   int
	Start string // clock ticks since boot
	Boot  string
}

func identify(pid int) procID {
	_, start := procStat(pid)
	return procID{PID: pid, Start: start, Boot: bootID()}
}

func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// procStat returns a process's state letter and start time, or nothing.
func procStat(pid int) (state, start string) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	i := strings.LastIndexByte(string(raw), ')')
	if i < 0 {
		return "", ""
	}
	f := strings.Fields(string(raw[i+1:]))
	if len(f) < 20 {
		return "", ""
	}
	return f[0], f[19]
}

// alive is false for a zombie too: an orphan waits for a reaper that may be slow.
func (p procID) alive() bool {
	if p.PID <= 1 || p.Boot != bootID() {
		return false
	}
	state, start := procStat(p.PID)
	return start != "" && start == p.Start && state != "Z" && state != "X"
}

// end sends sig, waits for grace, then kills and waits until the process is gone.
func (p procID) end(sig syscall.Signal, grace time.Duration) error {
	if !p.alive() {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return fmt.Errorf("ending process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil // the pid changed hands before the descriptor was made
	}
	for _, s := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{sig, grace}, {syscall.SIGKILL, 20 * time.Second}} {
		if err := unix.PidfdSendSignal(fd, s.sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("ending process %d: %w", p.PID, err)
		}
		gone, err := AwaitEnd(fd, s.wait)
		if err != nil {
			return fmt.Errorf("ending process %d: %w", p.PID, err)
		}
		if gone {
			return nil
		}
	}
	return fmt.Errorf("ending process %d: it is still there 20 s after SIGKILL", p.PID)
}

// AwaitEnd waits on a process's descriptor. It says more than /proc, where the
// first thread of a process may be a zombie while others still end: when PID 1's
// is readable, everything in its PID namespace is dead.
func AwaitEnd(fd int, limit time.Duration) (bool, error) {
	for end := time.Now().Add(limit); ; {
		left := max(0, time.Until(end))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, err
		case n > 0:
			return true, nil
		case left == 0:
			return false, nil
		}
	}
}

// waitUntil polls; it reports whether f came true in time.
func waitUntil(limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if f() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// processesIn lists the processes whose network namespace is the named one,
// wherever they came from.
func processesIn(ns string) []procID {
	var st unix.Stat_t
	if unix.Stat(netnsPath(ns), &st) != nil || !isNetNS(netnsPath(ns)) {
		return nil
	}
	want := fmt.Sprintf("net:[%d]", st.Ino)
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var out []procID
	for _, d := range dirs {
		if got, err := os.Readlink(filepath.Join(d, "ns/net")); err != nil || got != want {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err == nil && pid != os.Getpid() && pid != 1 {
			out = append(out, identify(pid))
		}
	}
	return out
}

// endAllIn kills every process of a namespace and waits for them. It looks again
// after each round: a process may have made another one just before it died.
func endAllIn(ns string) error {
	for range 20 {
		var live []procID
		for _, p := range processesIn(ns) {
			if p.alive() {
				live = append(live, p)
			}
		}
		if len(live) == 0 {
			return nil
		}
		var g errgroup.Group
		for _, p := range live {
			g.Go(func() error { return p.end(syscall.SIGKILL, 0) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return fmt.Errorf("ending the processes in namespace %s: new ones keep coming", ns)
}

// writeJSON replaces a file whole, so that a reader never sees half of it.
func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
