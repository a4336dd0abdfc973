package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/emqx-oci/emqx-oci/lab/peer"
)

// programs that the lab starts, and the Debian package of each.
var programs = []struct{ name, pkg string }{
	{"dockerd", "docker.io"},
	{"docker", "docker.io"},
	{"containerd", "docker.io"},
	{"haproxy", "haproxy"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"mkfs.ext4", "e2fsprogs"},
	{"blkid", "util-linux"},
	{"nsenter", "util-linux"},
	{"curl", "curl"},
	{"jq", "jq"},
	{"dnsmasq", "dnsmasq-base"},
	{"sysctl", "procps"},
	{"bash", "bash"},
}

func needRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("root: namespaces, mounts and loop devices need it; run it with sudo")
	}
	return nil
}

// checkRequirements names everything that is missing at once.
func checkRequirements(cfg Config) error {
	var faults []string
	if err := needRoot(); err != nil {
		faults = append(faults, err.Error())
	}
	pkgs := map[string]bool{}
	var list []string
	for _, p := range programs {
		if _, err := lookProgram(p.name); err != nil {
			faults = append(faults, "program "+p.name)
			if !pkgs[p.pkg] {
				pkgs[p.pkg] = true
				list = append(list, p.pkg)
			}
		}
	}
	for _, f := range []struct{ path, how string }{
		{cfg.GuestBinary, "make build"},
		{cfg.ConsulBinary, "make tools"},
		{cfg.NomadBinary, "make tools"},
	} {
		if st, err := os.Stat(f.path); err != nil || st.IsDir() {
			faults = append(faults, fmt.Sprintf("file %q: made by `%s`", f.path, f.how))
		}
	}
	for _, f := range []string{"/dev/loop-control", "/proc/self/ns/net", "/proc/self/ns/cgroup"} {
		if _, err := os.Stat(f); err != nil {
			faults = append(faults, "kernel feature behind "+f)
		}
	}
	if why := whySystemdCannot(); why != "" {
		faults = append(faults, why)
	}
	if err := peer.Able(); err != nil {
		faults = append(faults, fmt.Sprintf("kernel feature that names the owner of a socket (sock_diag, module tcp_diag): %v", err))
	}
	if len(faults) == 0 {
		return nil
	}
	msg := "the lab cannot run on this machine; missing:\n  " + strings.Join(faults, "\n  ")
	if len(list) > 0 {
		msg += "\ninstall the programs with: apt-get install " + strings.Join(list, " ")
	}
	return fmt.Errorf("%s", msg)
}

// lookProgram also looks where root's programs are: a user's PATH often lacks it.
func lookProgram(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, d := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if p, err := exec.LookPath(d + "/" + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("program %s: not found", name)
}
