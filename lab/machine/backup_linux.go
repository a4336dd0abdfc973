package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// FIFREEZE and FITHAW of linux/fs.h, _IOWR('X', 119, int) and _IOWR('X', 120, int).
const (
	freezeIoctl = 0xc0045877
	thawIoctl   = 0xc0045878
)

func (m *Machine) backupPath(id string) (string, error) {
	if !fileName.MatchString(id) || strings.Trim(id, ".") == "" {
		return "", fmt.Errorf("backup %q: its name cannot be a file's", id)
	}
	return m.path("backups", id+".img"), nil
}

// BackupVolume keeps what a volume holds at one moment under another name. A file
// system that is mounted meanwhile is frozen while it is copied, so that the copy
// is one that a power cut could have left.
func (m *Machine) BackupVolume(ctx context.Context, volumeID, backupID string) (err error) {
	from, err := m.volumePath(volumeID)
	if err != nil {
		return err
	}
	to, err := m.backupPath(backupID)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("backing volume %s up: %w", volumeID, err)
	}
	m.volumes.Lock()
	defer m.volumes.Unlock()
	if holder := m.attachedTo(volumeID); holder != "" {
		if root, notMounted := m.volumeRoot(holder, volumeID); notMounted == nil {
			if err := frozen(root, freezeIoctl); err != nil {
				return fmt.Errorf("backing volume %s up: freezing its file system: %w", volumeID, err)
			}
			defer func() {
				if e := frozen(root, thawIoctl); e != nil {
					err = errors.Join(err, fmt.Errorf("backing volume %s up: thawing its file system: %w", volumeID, e))
				}
			}()
		}
	}
	if err := copySparse(ctx, from, to); err != nil {
		return fmt.Errorf("backing volume %s up: %w", volumeID, err)
	}
	return nil
}

// DeleteBackup removes a backup. An unknown one is success.
func (m *Machine) DeleteBackup(_ context.Context, id string) error {
	p, err := m.backupPath(id)
	if err != nil {
		return err
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting backup %s: %w", id, err)
	}
	return nil
}

// frozen freezes or thaws a mounted file system.
func frozen(mount string, ioctl uint) error {
	d, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.IoctlSetInt(int(d.Fd()), ioctl, 0)
}

// copySparse copies a file with its holes, and gives it its name when all of it is there.
func copySparse(ctx context.Context, from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	temp := to + ".new"
	out, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, out.Close())
		if err == nil {
			err = os.Rename(temp, to)
		} else {
			os.Remove(temp)
		}
	}()
	if err := out.Truncate(st.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := in.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // a hole up to the end
		}
		if err != nil {
			return err
		}
		hole, err := in.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := in.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, hole-data); err != nil {
			return err
		}
		at = hole
	}
}
