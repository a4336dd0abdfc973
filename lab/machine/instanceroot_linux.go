package machine

import (
	"crypto/sha256"
	"fmt"
	"path"
	"path/filepath"

	"github.com/emqx-oci/emqx-oci/lab/guest"
)

// This file is the lab's "image": what an instance finds on its disk at boot, on
// top of the host's own programs.

const binaryDir = "/usr/local/lib/oci-lab"

// units of the image; the boot script changes them by drop-ins, as it does with
// the vendors' units on a cloud image.
var units = map[string]string{
	// The daemon keeps off the network: containers use the instance's own, and
	// nftables belong to the security groups.
	"docker": `[Unit]
Description=Docker Application Container Engine
StartLimitBurst=3
StartLimitIntervalSec=60

[Service]
Type=notify
ExecStart=/usr/sbin/dockerd --host unix:///run/docker.sock --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false
ExecStartPost=/bin/sh -c 'setsid /usr/local/lib/oci-lab/load-images </dev/null &'
ExecReload=/bin/kill -s HUP $MAINPID
UnsetEnvironment=AWS_CA_BUNDLE
TimeoutStartSec=60
# Shorter than a container may take: a terminated instance waits for Consul's leave
# and not for more.
TimeoutStopSec=3
Restart=always
RestartSec=2
KillMode=process

[Install]
WantedBy=multi-user.target
`,
	"consul": `[Unit]
Description=Consul
ConditionFileNotEmpty=/etc/consul.d/consul.hcl

[Service]
Type=notify
ExecStart=/usr/bin/consul agent -config-dir=/etc/consul.d/
ExecReload=/bin/kill --signal HUP $MAINPID
UnsetEnvironment=AWS_CA_BUNDLE
KillMode=process
KillSignal=SIGTERM
Restart=on-failure
RestartSec=1
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`,
	// A Nomad client dies at start when AWS_CA_BUNDLE is set.
	"nomad": `[Unit]
Description=Nomad
StartLimitBurst=3
StartLimitIntervalSec=10

[Service]
Type=notify
ExecStartPre=/usr/local/lib/oci-lab/wait-images
ExecStart=/usr/bin/nomad agent -config /etc/nomad.d
ExecReload=/bin/kill --signal HUP $MAINPID
UnsetEnvironment=AWS_CA_BUNDLE
KillMode=process
KillSignal=SIGINT
LimitNOFILE=65536
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
`,
	"dnsmasq": `[Unit]
Description=dnsmasq - A lightweight DHCP and caching DNS server

[Service]
Type=simple
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --conf-dir=/etc/dnsmasq.d,*.conf --user=root
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure

[Install]
WantedBy=multi-user.target
`,
	// cloud-init's own, as far as it matters to a script.
	"cloud-final": `[Unit]
Description=Execute cloud user/final scripts
Wants=network-online.target
After=network-online.target multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/local/lib/oci-lab/lab-guest user-data
RemainAfterExit=yes
TimeoutSec=0
KillMode=process
TasksMax=infinity
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
`,
}

// loadImages stands in for pulling. Nomad starts after it (wait-images), so that
// a job never finds half of them; the boot script runs on meanwhile.
const loadImages = `#!/bin/sh
# Loads the lab's image archives; makes /run/oci-lab-images when all are there.
# Docker may be restarted meanwhile: then it begins again.
set -u
exec 9>/run/oci-lab-images.lock
flock 9
rm -f /run/oci-lab-images
load() {
	for tar in /usr/local/lib/oci-lab/images/*.tar; do
		[ -e "$tar" ] || continue
		docker load --quiet --input "$tar" || return
	done
}
try=1
until load; do
	try=$((try + 1))
	[ "$try" -le 20 ] || break
	sleep 0.5
done
if [ "$try" -le 20 ]; then echo ok; else echo failed; fi >/run/oci-lab-images.new
mv /run/oci-lab-images.new /run/oci-lab-images
`

const waitImages = `#!/bin/sh
# Returns when the images are loaded; fails when loading failed.
n=0
while [ ! -s /run/oci-lab-images ]; do
	n=$((n + 1))
	if [ "$n" -gt 1200 ]; then
		echo "the container images are not loaded after 60 s; see journalctl -u docker" >&2
		exit 1
	fi
	sleep 0.05
done
[ "$(cat /run/oci-lab-images)" = ok ] || {
	echo "loading the container images failed; see journalctl -u docker" >&2
	exit 1
}
`

// nomadDefaults is what only the lab needs: without it a Nomad client spends
// seconds on asking for clouds that are not there.
const nomadDefaults = `{
  "disable_update_check": true,
  "client": {
    "options": {
      "fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"
    }
  }
}
`

// spec puts the root of an instance together.
func (m *Machine) spec(r record, groups []guest.Cgroup) (guest.Spec, error) {
	dir := m.path("instances", r.Short)
	s := guest.Spec{
		Hostname: r.Spec.Name,
		Scratch:  filepath.Join(dir, "scratch"),
		Cgroups:  groups,
		Hide: []string{
			"/root", "/home", "/mnt", "/media", "/srv", m.cfg.Dir,
			"/etc/docker", "/etc/containerd",
			"/etc/consul.d", "/etc/nomad.d", "/etc/dnsmasq.d", "/etc/netns", "/etc/sysctl.d", "/etc/modules-load.d",
			"/var/lib/docker", "/var/lib/containerd", "/var/lib/cloud", "/var/lib/consul", "/var/lib/nomad",
			"/opt/consul", "/opt/nomad", "/var/tmp",
		},
		// Clients of services that do not run in an instance, and rules of a
		// firewall that is not its own.
		Remove: []string{"/usr/bin/nmcli", "/usr/bin/firewall-cmd", "/usr/bin/resolvectl", "/etc/iptables/rules.v4", "/etc/iptables/rules.v6"},
		Dirs:   []string{"/mnt", "/etc/consul.d", "/etc/nomad.d", "/etc/dnsmasq.d", "/etc/sysctl.d"},
		Files: []guest.File{
			{Path: "/etc/hostname", Content: r.Spec.Name + "\n"},
			{Path: "/etc/hosts", Content: fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", r.Spec.Address, r.Spec.Name)},
			{Path: "/etc/resolv.conf", Content: "nameserver " + guest.MetadataAddress + "\n"},
			{Path: "/etc/nsswitch.conf", Content: nsswitch},
			{Path: "/etc/machine-id", Content: fmt.Sprintf("%x\n", sha256.Sum256([]byte(r.Spec.ID)))[:32] + "\n"},
			{Path: "/etc/fstab", Content: ""},
			{Path: "/etc/oci-lab", Content: "an instance of the emqx-oci lab\n"},
			// Of the vendor's package, whose unit starts nothing without it.
			{Path: "/etc/consul.d/consul.hcl", Content: "data_dir = \"/opt/consul\"\n"},
			{Path: "/etc/nomad.d/00-lab.json", Content: nomadDefaults},
			{Path: path.Join(binaryDir, "load-images"), Content: loadImages, Mode: 0o755},
			{Path: path.Join(binaryDir, "wait-images"), Content: waitImages, Mode: 0o755},
		},
		Links: []guest.Link{
			{Path: "/usr/local/bin/oci", Target: guest.Binary},
		},
		Binds: []guest.Bind{
			{Source: m.cfg.GuestBinary, Target: guest.Binary, ReadOnly: true},
			{Source: m.cfg.ConsulBinary, Target: "/usr/bin/consul", ReadOnly: true},
			{Source: m.cfg.NomadBinary, Target: "/usr/bin/nomad", ReadOnly: true},
			// The folder, not its files: AddImage may add some later.
			{Source: m.path("images"), Target: guest.ImageDir, ReadOnly: true},
			{Source: filepath.Join(dir, "api"), Target: guest.APIDir},
			{Source: filepath.Join(dir, "log"), Target: guest.LogDir},
		},
	}
	// On disk, not in the scratch memory: Docker's own overlay needs a real file
	// system below it.
	for _, d := range diskDirs {
		s.Binds = append(s.Binds, guest.Bind{Source: filepath.Join(dir, "disk", d.name), Target: d.target})
	}
	err := systemd(&s)
	return s, err
}

var diskDirs = []struct{ name, target string }{
	{"docker", "/var/lib/docker"},
	{"consul", "/opt/consul"},
	{"nomad", "/opt/nomad"},
}
