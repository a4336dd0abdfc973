package guest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// startConsole makes /dev/console, a terminal of the instance's own, which becomes the
// standard input, output and error of this process, and starts what keeps its history: a
// process in the instance, because the lab's daemon may end before it.
func startConsole(env []string) error {
	ptmx, err := os.OpenFile("/dev/pts/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("opening the console: %w", err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlocking the console: %w", err)
	}
	number, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("asking for the console's number: %w", err)
	}
	terminal := fmt.Sprintf("/dev/pts/%d", number)
	if err := os.WriteFile("/dev/console", nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(terminal, "/dev/console", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s on /dev/console: %w", terminal, err)
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("opening the console: %w", err)
	}
	defer console.Close()
	if _, err := syscall.ForkExec(Binary, []string{"lab-guest", "console"}, &syscall.ProcAttr{
		Env: env, Dir: "/", Files: []uintptr{ptmx.Fd(), console.Fd(), console.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	}); err != nil {
		return fmt.Errorf("starting what keeps the console's history: %w", err)
	}
	for fd := range 3 {
		if err := unix.Dup2(int(console.Fd()), fd); err != nil {
			return fmt.Errorf("taking the console: %w", err)
		}
	}
	return nil
}

// KeepConsole copies what is written to the console, whose other side is its standard
// input, to console.log: what OCI shows as console history. Its standard output is the
// console, too: with nobody on that side, reading would end.
func KeepConsole() error {
	history, err := os.OpenFile(filepath.Join(LogDir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer history.Close()
	_, err = io.Copy(history, os.Stdin)
	return err
}
