package machine

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/guest"
)

// This file is what PID 1 of an instance, the machine's own systemd, finds: its units,
// of which only those that are named here come from the machine, and its settings.

const (
	systemUnitDir = "/usr/lib/systemd/system"
	adminUnitDir  = "/etc/systemd/system"
)

// poweroff is the signal, SIGRTMIN+4, that has systemd stop all units in their order and end.
const poweroff = unix.Signal(34 + 4)

// systemdUnits come from the machine's systemd, as they are. Those of a whole machine
// (devices, disks, clocks, logins), and those of the machine's packages, are not an instance's.
var systemdUnits = []string{
	"sysinit.target", "basic.target", "multi-user.target", "sockets.target", "timers.target", "paths.target", "slices.target",
	"local-fs-pre.target", "local-fs.target", "remote-fs-pre.target", "remote-fs.target", "swap.target",
	"network-pre.target", "network.target", "network-online.target", "nss-lookup.target", "time-sync.target",
	"shutdown.target", "umount.target", "final.target", "emergency.target",
	"poweroff.target", "systemd-poweroff.service", "reboot.target", "systemd-reboot.service", "halt.target", "systemd-halt.service",
	"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journal-flush.service",
}

// wanted are the units that a target starts: those of systemd, and cloud-init's.
var wanted = map[string][]string{
	"sysinit.target":    {"systemd-journald.service", "systemd-journal-flush.service"},
	"sockets.target":    {"systemd-journald.socket", "systemd-journald-dev-log.socket"},
	"multi-user.target": {"remote-fs.target", "cloud-final.service"},
}

// hiddenFromSystemd are the folders where the machine's own settings, units and generators are.
var hiddenFromSystemd = []string{
	"/etc/systemd", systemUnitDir, "/usr/local/lib/systemd", "/etc/init.d",
	"/usr/lib/systemd/system-generators", "/usr/lib/systemd/system-environment-generators",
	"/usr/lib/systemd/system.conf.d", "/usr/lib/systemd/journald.conf.d",
}

// journal survives the instance's end on the machine's disk, as a boot volume's does; what
// the kernel says is the machine's business.
const journal = `[Journal]
Storage=persistent
SystemMaxUse=64M
ReadKMsg=no
Audit=no
`

// systemd adds to an instance's root what its PID 1 needs.
func systemd(s *guest.Spec) error {
	s.Hide = append(s.Hide, hiddenFromSystemd...)
	for _, name := range systemdUnits {
		text, err := os.ReadFile(filepath.Join(systemUnitDir, name))
		if err != nil {
			return fmt.Errorf("taking a unit of this machine's systemd: %w", err)
		}
		s.Files = append(s.Files, guest.File{Path: path.Join(systemUnitDir, name), Content: string(text)})
	}
	for name, text := range units {
		s.Files = append(s.Files, guest.File{Path: path.Join(systemUnitDir, name+".service"), Content: text})
	}
	s.Files = append(s.Files, guest.File{Path: "/etc/systemd/journald.conf", Content: journal})
	s.Dirs = append(s.Dirs, adminUnitDir)
	s.Links = append(s.Links, guest.Link{Path: path.Join(systemUnitDir, "default.target"), Target: "multi-user.target"})
	for target, names := range wanted {
		for _, name := range names {
			s.Links = append(s.Links, guest.Link{Path: path.Join(systemUnitDir, target+".wants", name), Target: "../" + name})
		}
	}
	return nil
}

// running reports whether the instance's systemd takes signals and systemctl's calls.
func (p procID) running() bool {
	_, err := os.Lstat(fmt.Sprintf("/proc/%d/root%s", p.PID, guest.SystemdSocket))
	return err == nil && p.alive()
}

// powerOff has an instance's systemd stop all units, for grace at most. One that is not up
// yet has none, and would miss the signal.
func (p procID) powerOff(grace time.Duration) error {
	if !p.running() {
		return p.end(unix.SIGKILL, 0)
	}
	return p.end(poweroff, grace)
}

// whySystemdCannot is empty where this machine's systemd can be an instance's PID 1.
func whySystemdCannot() string {
	var missing []string
	for _, f := range append([]string{guest.Systemd}, systemdUnits...) {
		if !filepath.IsAbs(f) {
			f = filepath.Join(systemUnitDir, f)
		}
		if _, err := os.Stat(f); err != nil {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "systemd (package systemd), of which it needs " + strings.Join(missing, ", ")
}
