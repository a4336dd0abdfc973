package machine

import (
	"fmt"
	"os"
	"syscall"
)

// OwnFolder makes the lab's folder, or takes one that is there, for this user alone.
// Below it is what instances write as root, setuid programs too if they like, beside
// sockets, secrets and state: nobody else may get in, whatever the modes there are.
func OwnFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("making the lab's folder: %s: must be a folder, not a link to one", dir)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("making the lab's folder: %s: must belong to user %d, who runs the lab, and belongs to user %d", dir, os.Geteuid(), owner)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	return nil
}
