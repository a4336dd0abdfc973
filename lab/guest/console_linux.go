package guest

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openConsole makes /dev/console, a terminal of the instance's own, whose output is kept
// in console.log: what OCI shows as console history. It returns what writes to it.
func openConsole() (io.Writer, error) {
	ptmx, err := os.OpenFile("/dev/pts/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlocking the console: %w", err)
	}
	number, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("asking for the console's number: %w", err)
	}
	terminal := fmt.Sprintf("/dev/pts/%d", number)
	if err := os.Symlink(terminal, "/dev/console"); err != nil {
		return nil, err
	}
	// Held for ever: with nobody on the other side, reading would end.
	console, err := os.OpenFile(terminal, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	history, err := os.OpenFile(filepath.Join(LogDir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	go func() {
		if _, err := io.Copy(history, ptmx); err != nil {
			log.Printf("keeping the console's history: %v", err)
		}
	}()
	return console, nil
}
