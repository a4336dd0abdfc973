package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// netnsDir is where ip-netns(8) keeps namespaces, so that its commands work on
// the lab's: `ip netns exec emqxlab-gw nft list ruleset`.
const netnsDir = "/run/netns"

func netnsPath(name string) string { return filepath.Join(netnsDir, name) }

// ensureNetNS makes a named network namespace with loopback up, if it is not there.
func ensureNetNS(name string) error {
	path := netnsPath(name)
	if isNetNS(path) {
		return nil
	}
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("making namespace %s: %w", name, err)
	}
	f.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making namespace %s: %w", name, err)
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(self, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("naming namespace %s: %w", name, err)
		}
		return nil
	})
}

func isNetNS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// removeNetNS takes the name away; the namespace goes with its last process and socket.
func removeNetNS(name string) error {
	path := netnsPath(name)
	for isNetNS(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("removing namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing namespace %s: %w", name, err)
	}
	return nil
}

// onThread runs f on a thread whose namespaces it may change. The thread goes
// back to its network namespace, or, if that fails, ends with its goroutine.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// inNetNS runs f on a thread that is in the named namespace. Sockets that f opens
// and processes that it starts stay there.
func inNetNS(name string, f func() error) error {
	ns, err := os.Open(netnsPath(name))
	if err != nil {
		return fmt.Errorf("entering namespace %s: %w; is the lab up?", name, err)
	}
	defer ns.Close()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering namespace %s: %w", name, err)
		}
		return f()
	})
}

// dialIn connects from inside a namespace; address must be numeric. Go makes the
// socket on the calling thread as long as there is only one address to try.
func dialIn(ctx context.Context, ns string, from net.Addr, network, address string) (conn net.Conn, err error) {
	err = inNetNS(ns, func() error {
		d := net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}
		var derr error
		conn, derr = d.DialContext(ctx, network, address)
		return derr
	})
	return conn, err
}

func listenIn(ctx context.Context, ns, address string) (l net.Listener, err error) {
	err = inNetNS(ns, func() error {
		var lerr error
		l, lerr = (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
		return lerr
	})
	return l, err
}

func listenPacketIn(ctx context.Context, ns, address string) (c net.PacketConn, err error) {
	err = inNetNS(ns, func() error {
		var lerr error
		c, lerr = (&net.ListenConfig{}).ListenPacket(ctx, "udp4", address)
		return lerr
	})
	return c, err
}

// setSysctl writes settings of a namespace; /proc/sys/net shows the thread's.
func setSysctl(ns string, values map[string]string) error {
	return inNetNS(ns, func() error {
		for k, v := range values {
			if err := os.WriteFile(filepath.Join("/proc/sys/net", k), []byte(v), 0); err != nil {
				return fmt.Errorf("setting net/%s in %s: %w", k, ns, err)
			}
		}
		return nil
	})
}

// nft loads rules into a namespace, all or none.
func nft(ctx context.Context, ns, rules string) error {
	program, err := lookProgram("nft")
	if err != nil {
		return err
	}
	return inNetNS(ns, func() error {
		cmd := exec.CommandContext(ctx, program, "-f", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("loading rules into %s: %w: %s", ns, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}
