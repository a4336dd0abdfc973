package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ExecIn runs argv in a network namespace with a resolver of its own, in a
// private mount namespace: the command sees the lab's names, nobody else does.
func ExecIn(netns string, files map[string]string, argv []string) error {
	runtime.LockOSThread()
	fd, err := os.Open(netns)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the network namespace %s: %w", netns, err)
	}
	fd.Close()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for target, source := range files {
		real, err := filepath.EvalSymlinks(target)
		if err != nil {
			return fmt.Errorf("replacing %s for the command: %w; make it a file", target, err)
		}
		if err := unix.Mount(source, real, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("replacing %s for the command: %w", target, err)
		}
	}
	return become(argv)
}

func become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("starting %s: %w", argv[0], err)
	}
	if err := syscall.Exec(path, argv, os.Environ()); err != nil {
		return fmt.Errorf("starting %s: %w", path, err)
	}
	return nil
}
