//go:build lab

package ocihosts

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

// These tests run the boot script as root in a root file system, network and
// device directory of its own, with a real loop device as the volume. The cloud,
// the metadata service, the agents' answers and the system's own commands
// (systemctl, sysctl) are this test's binary and small scripts.

// The sessions start this test's binary as their helper programs, too.
func init() {
	switch os.Getenv("BOOT_HELPER") {
	case "oci":
		os.Exit(fakeOCI(os.Args[1:]))
	case "metadata":
		os.Exit(fakeMetadata())
	}
}

// fakeCloud is what the fake oci command knows; it lives in a file.
type fakeCloud struct {
	// Instances by id, with their state.
	Instances map[string]string
	// VolumeHolder has the volume; empty when it is free.
	VolumeHolder string
	// VolumeState is the attachment's, ATTACHED when empty. A passing one is over when
	// it has been seen once.
	VolumeState string
	// AddressVNIC has the reserved address.
	AddressVNIC string
	// Secret is the content of the vault's secret [bootSecret], Agents of the secrets of the
	// agents.
	Secret string
	Agents map[string]string
	// TerminateAfter calls, the other instance ends.
	TerminateAfter int
	Calls          []string
	// Loop is the minor number of the loop device.
	Loop int
}

const (
	me, other     = "ocid1.instance.me", "ocid1.instance.other"
	myVNIC        = "ocid1.vnic.me"
	stateFile     = "/boot-test/cloud.json"
	brokenFile    = "/boot-test/broken" // while it is there, the cloud refuses everything
	bootAddress   = "10.80.1.11"
	bootVolume    = "ocid1.volume.1"
	bootPrivateIP = "ocid1.privateip.1"
	bootSecret    = "ocid1.vaultsecret.oc1.lab-1.registries"
)

func fakeOCI(args []string) int {
	var c fakeCloud
	raw, err := os.ReadFile(stateFile)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	defer func() {
		raw, _ := json.Marshal(c)
		_ = os.WriteFile(stateFile, raw, 0o600)
	}()
	call, err := ocicli.Parse(args)
	var refusal *ocicli.Refusal
	if errors.As(err, &refusal) {
		fmt.Print(refusal.Stdout)
		fmt.Fprint(os.Stderr, refusal.Stderr)
		return refusal.Exit
	}
	opt := map[string]string{}
	for name := range call.Options {
		opt[name] = call.Option(name)
	}
	c.Calls = append(c.Calls, call.Command)
	if c.TerminateAfter > 0 && len(c.Calls) > c.TerminateAfter {
		c.Instances[other] = "TERMINATED"
	}
	if _, err := os.Stat(brokenFile); err == nil {
		return refuse("NotAuthorizedOrNotFound")
	}
	if opt["auth"] != "instance_principal" {
		fmt.Fprintln(os.Stderr, "ERROR: Could not find config file")
		return 1
	}
	tags := func(cluster, index string) map[string]string {
		return map[string]string{"emqx-cluster": cluster, "group-index": index, "pool_type": "emqx"}
	}
	var data any
	switch call.Command {
	case "bv volume list":
		data = []any{
			map[string]any{"id": "ocid1.volume.wrong-index", "freeform-tags": tags("lab", "0")},
			map[string]any{"id": "ocid1.volume.wrong-cluster", "freeform-tags": tags("prod", "1")},
			map[string]any{"id": bootVolume, "freeform-tags": tags("lab", "1")},
		}
	case "compute volume-attachment list":
		if opt["volume-id"] != bootVolume {
			return refuse("NotAuthorizedOrNotFound")
		}
		list := []any{map[string]any{"id": "old", "instance-id": "ocid1.instance.before", "lifecycle-state": "DETACHED"}}
		if c.VolumeHolder != "" {
			list = append(list, map[string]any{"id": "a1", "instance-id": c.VolumeHolder, "lifecycle-state": cmp.Or(c.VolumeState, "ATTACHED")})
			if c.VolumeState == "DETACHING" {
				c.VolumeHolder = ""
			}
			c.VolumeState = ""
		}
		data = list
	case "compute volume-attachment attach":
		if c.VolumeHolder != "" {
			return refuse("Conflict")
		}
		c.VolumeHolder, c.VolumeState = opt["instance-id"], "ATTACHING"
		if err := syscall.Mknod(opt["device"], syscall.S_IFBLK|0o600, 7<<8|c.Loop); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
		data = map[string]any{"id": "a1"}
	case "compute volume-attachment detach":
		if opt["force"] == "" || c.Instances[c.VolumeHolder] == "RUNNING" {
			return refuse("taken from a running instance")
		}
		c.VolumeState = "DETACHING"
		return 0
	case "compute instance get":
		state, ok := c.Instances[opt["instance-id"]]
		if !ok {
			return refuse("NotAuthorizedOrNotFound")
		}
		fmt.Fprintln(os.Stderr, "FutureWarning: a line that is no JSON")
		data = map[string]any{"id": opt["instance-id"], "lifecycle-state": state}
	case "network private-ip list":
		reserved := map[string]any{
			"id": bootPrivateIP, "ip-address": bootAddress, "subnet-id": "s", "vnic-id": nil, "freeform-tags": tags("lab", "1"),
		}
		if c.AddressVNIC != "" {
			reserved["vnic-id"] = c.AddressVNIC
		}
		primary := map[string]any{"id": "p", "ip-address": "10.80.1.100", "subnet-id": "s", "vnic-id": myVNIC, "freeform-tags": map[string]string{}}
		data = []any{primary}
		if opt["subnet-id"] == "s" {
			data = []any{primary, reserved}
		}
	case "network vnic assign-private-ip":
		if c.AddressVNIC != "" && opt["unassign-if-already-assigned"] == "" || opt["ip-address"] != bootAddress {
			return refuse("Conflict")
		}
		c.AddressVNIC = opt["vnic-id"]
		data = map[string]any{"id": bootPrivateIP}
	case "secrets secret-bundle get":
		content, ok := c.Agents[opt["secret-id"]]
		if opt["secret-id"] == bootSecret {
			content, ok = c.Secret, true
		}
		if !ok {
			return refuse("NotAuthorizedOrNotFound")
		}
		data = map[string]any{"secret-id": opt["secret-id"], "secret-bundle-content": map[string]any{
			"content-type": "BASE64", "content": base64.StdEncoding.EncodeToString([]byte(content)),
		}}
	default:
		fmt.Fprintf(os.Stderr, "this test's oci does not know %s\n", call.Command)
		return 3
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"data": data})
	return 0
}

func refuse(code string) int {
	fmt.Fprintf(os.Stderr, "ServiceError:\n{\"code\": %q}\n", code)
	return 1
}

// fakeMetadata answers for the metadata service, Consul and Nomad.
func fakeMetadata() int {
	mux := http.NewServeMux()
	mux.HandleFunc("/opc/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer Oracle" {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/opc/v2/instance/":
			fmt.Fprintf(w, `{"id":%q,"compartmentId":"c","availabilityDomain":"LAB:AD-2"}`, me)
		case "/opc/v2/vnics/":
			fmt.Fprintf(w, `[{"vnicId":%q,"privateIp":"10.80.1.100","subnetCidrBlock":"10.80.1.0/24"}]`, myVNIC)
		default:
			http.NotFound(w, r)
		}
	})
	mux.HandleFunc("/v1/status/leader", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"10.80.2.10:8300"`) })
	mux.HandleFunc("/v1/agent/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"client":{"ok":true}}`) })
	nodes := `{"ID":"own-id","Name":"emqx-lab-1"},{"ID":"neighbour-id","Name":"emqx-lab-0"}`
	dead := `,{"ID":"dead-id","Name":"emqx-lab-1"},{"ID":"denied-id","Name":"emqx-lab-1"}`
	maintenance := `{"service:_nomad-task-1":{}}`
	mux.HandleFunc("GET /v1/agent/checks", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, maintenance) })
	mux.HandleFunc("PUT /v1/agent/maintenance", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("maintenance %s as %q\n", r.FormValue("enable"), r.Header.Get("X-Consul-Token"))
		if maintenance = "{}"; r.FormValue("enable") == "true" {
			maintenance = `{"_node_maintenance":{}}`
		}
	})
	mux.HandleFunc("GET /v1/node/own-id", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "[%s%s]", nodes, dead) })
	mux.HandleFunc("POST /v1/node/{id}/purge", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "denied-id" {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		dead = ""
	})
	mux.HandleFunc("POST /v1/client/metadata", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println("node meta", strings.Join(strings.Fields(string(body)), ""))
	})
	failed := make(chan error)
	for _, address := range []string{"169.254.169.254:80", "127.0.0.1:8500", "127.0.0.1:4646"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() { failed <- http.Serve(l, mux) }()
	}
	fmt.Fprintln(os.Stderr, <-failed)
	return 1
}

// sessionSetup runs in new mount and network namespaces: $1 is the test's folder,
// $2 this binary. What follows it is the test's own script.
const sessionSetup = `
set -eu
T=$1 HELPER=$2
mount --make-rprivate /
ip link set lo up
ip addr add 169.254.169.254/32 dev lo
ip link add ens3 type veth peer name peer3
ip addr add 10.80.1.100/24 dev ens3
ip link set ens3 up
mount -t tmpfs tmpfs "$T/ovl"
mkdir "$T/ovl/upper" "$T/ovl/work" "$T/ovl/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$T/ovl/upper,workdir=$T/ovl/work" "$T/ovl/root"
R=$T/ovl/root
mount --bind /proc "$R/proc"
mount -t tmpfs tmpfs "$R/dev"
mount -t tmpfs tmpfs "$R/run"
mkdir -p "$R/dev/oracleoci" "$R/boot-test" "$R/etc/nomad.d" "$R/run/units"
mknod "$R/dev/null" c 1 3; mknod "$R/dev/zero" c 1 5; mknod "$R/dev/urandom" c 1 9; chmod 666 "$R"/dev/*o*
ln -s /proc/self/fd "$R/dev/fd"
cp "$HELPER" "$R/boot-test/helper"
cp "$T/boot.sh" "$R/boot.sh"
mv "$T/cloud.json" "$R/boot-test/cloud.json"
rm -f "$R/etc/resolv.conf"
printf 'nameserver 169.254.169.254\nsearch sub.vcn.oraclevcn.com\n' >"$R/etc/resolv.conf"
echo 'server { enabled = true }' >"$R/etc/nomad.d/nomad.hcl"
mkdir -p "$R/opt/nomad/data/client"
printf own-id >"$R/opt/nomad/data/client/client-id"
: >"$R/etc/fstab"
fake() { rm -f "$R/usr/local/sbin/$1"; cat >"$R/usr/local/sbin/$1"; chmod 755 "$R/usr/local/sbin/$1"; }
fake oci <<'END'
#!/bin/sh
BOOT_HELPER=oci exec /boot-test/helper "$@"
END
fake systemctl <<'END'
#!/bin/bash
for u; do :; done
case "$1" in
  is-active) [[ -e /run/units/$u ]]; exit ;;
  start | restart)
    # consul.service is ready when it has joined: without servers its start fails after 90 s.
    if [[ $u == consul && $* != *--no-block* && -e /boot-test/leaderless ]]; then exit 1; fi
    touch "/run/units/$u"
    ;;
  stop) rm -f "/run/units/$u" ;;
esac
echo "$*" >>/boot-test/systemctl
END
fake sysctl <<'END'
#!/bin/bash
case "$*" in
  *nf_conntrack*) echo 'cannot stat' >&2; exit 1 ;;
  -n*) cat "/run/sysctl.$2" ;;
  *) kv=${*: -1}; echo "${kv#*=}" >"/run/sysctl.${kv%%=*}" ;;
esac
END
for p in docker consul nomad modprobe; do fake "$p" </dev/null; done
BOOT_HELPER=metadata "$HELPER" & server=$!
trap 'kill $server' EXIT
inside() { chroot "$R" /bin/bash -c "$1"; }
boot() { code=0; inside /usr/local/sbin/emqx-boot 2>&1 || code=$?; echo "boot ended with $code"; }
code=0; chroot "$R" /bin/bash /boot.sh 2>&1 || code=$?
echo "user data ended with $code"
`

// session runs script after sessionSetup and returns what it printed.
func session(t *testing.T, c fakeCloud, args BootArgs, image, script string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab's tests need root: they make namespaces and loop devices")
	}
	for _, p := range []string{"unshare", "losetup", "mkfs.ext4", "jq", "curl", "ip"} {
		agenttest.Tool(t, p)
	}
	dir := t.TempDir()
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	assert.NilError(t, err)
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
			t.Errorf("detaching %s: %v: %s", loop, err, out)
		}
	})
	_, err = fmt.Sscanf(loop, "/dev/loop%d", &c.Loop)
	assert.NilError(t, err)
	raw, err := json.Marshal(c)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "cloud.json"), raw, 0o600))
	text, err := BootScript(args)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "boot.sh"), []byte(text), 0o700))
	assert.NilError(t, os.Mkdir(filepath.Join(dir, "ovl"), 0o700))
	self, err := os.Executable()
	assert.NilError(t, err)

	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", sessionSetup+script, "session", dir, self)
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	// The metadata server ends with the script; should it not, do not wait for it.
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	t.Log(all.String())
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("running the session: %v", err)
	}
	return all.String()
}

// volume makes an image file: empty, or with what fill puts on it.
func volume(t *testing.T, fill ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.img")
	f, err := os.Create(path)
	assert.NilError(t, err)
	assert.NilError(t, f.Truncate(64<<20))
	assert.NilError(t, f.Close())
	if len(fill) > 0 {
		out, err := exec.Command(fill[0], append(fill[1:], path)...).CombinedOutput()
		assert.NilError(t, err, string(out))
	}
	return path
}

func has(t *testing.T, out string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(out, w) {
			t.Errorf("the session did not print %q", w)
		}
	}
}

func hasNot(t *testing.T, out string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(out, w) {
			t.Errorf("the session printed %q", w)
		}
	}
}

func free() fakeCloud { return fakeCloud{Instances: map[string]string{me: "RUNNING"}} }

func TestBootOnAnEmptyVolume(t *testing.T) {
	image := volume(t)
	args := testBootArgs()
	out := session(t, free(), args, image, `
boot
inside 'echo precious >/mnt/bv/emqx-1/data; stat -c "owner %u:%g" /mnt/bv/emqx-1; readlink /opt/nomad/data/emqx-1'
inside 'cat /etc/fstab /etc/resolv.conf /etc/dnsmasq.d/consul.conf /etc/systemd/system/docker.service.d/emqx.conf; ls /etc/nomad.d; cat /etc/modules-load.d/emqx.conf /etc/systemd/system/emqx-boot.service'
inside 'jq -c . /etc/consul.d/emqx.json /etc/nomad.d/emqx.json'
ip -4 -br addr show ens3
for uid in 0 99 1000 1001; do
  for url in http://169.254.169.254/opc/v2/instance/ http://127.0.0.1:8500/v1/status/leader http://127.0.0.1:4646/v1/agent/health; do
    setpriv --reuid $uid --clear-groups curl -s -m 3 -o /dev/null -H 'Authorization: Bearer Oracle' "$url" && echo "user $uid reads $url" || echo "user $uid reads nothing of $url"
  done
done
inside 'cat /boot-test/systemctl'
inside 'stat -c "%n %Y %i" /etc/consul.d/emqx.json /etc/nomad.d/emqx.json /etc/fstab /etc/resolv.conf /var/lib/emqx-boot/done /etc/sysctl.d/90-emqx.conf
  ip -4 -br addr; tune2fs -l /dev/oracleoci/oraclevdb | grep -E "UUID|created"; wc -l </boot-test/systemctl' >"$T/before" 2>&1
sleep 1
echo SECOND RUN
boot
inside 'stat -c "%n %Y %i" /etc/consul.d/emqx.json /etc/nomad.d/emqx.json /etc/fstab /etc/resolv.conf /var/lib/emqx-boot/done /etc/sysctl.d/90-emqx.conf
  ip -4 -br addr; tune2fs -l /dev/oracleoci/oraclevdb | grep -E "UUID|created"; wc -l </boot-test/systemctl' >"$T/after" 2>&1
diff "$T/before" "$T/after" && echo NOTHING CHANGED
inside 'cat /mnt/bv/emqx-1/data; tail -n 2 /var/log/emqx-boot.log; tail -n 3 /boot-test/systemctl'
inside 'umount /mnt/bv/emqx-1'
`)
	has(
		t, out, "boot ended with 0", "making a file system on the empty volume", "owner 1000:1000", "\n/mnt/bv/emqx-1\n",
		"/mnt/bv/emqx-1 ext4 defaults,noatime,nofail,_netdev 0 2",
		"nameserver 127.0.0.1\nsearch sub.vcn.oraclevcn.com\n", "server=/consul/127.0.0.1#8600", "LimitNOFILE=1048576",
		"emqx.json\nnomad.hcl\nnomad.hcl.package",
		"10.80.1.100/24 10.80.1.11/24",
		`"node_name":"emqx-lab-1"`, `"bind_addr":"10.80.1.11"`, `"retry_join":["10.80.2.10"]`, `"dns_config":{"enable_truncate":true}`,
		`"host_volume":{"emqx[1]":{"path":"/opt/nomad/data/emqx-1","read_only":false}}`,
		`"meta":{"pool_type":"emqx","group-index":"1","emqx_cluster":"lab"}`,
		`"host_network":{"emqx":{"cidr":"10.80.1.11/32"}}`,
		`"max_kill_timeout":"600s"`, `"min_dynamic_port":21000,"max_dynamic_port":21799`,
		"the kernel refuses net.netfilter.nf_conntrack_max = 1000000 (it is: not there)",
		"user data ended with 0", "daemon-reload\nenable emqx-boot emqx-drain\nstart --no-block emqx-boot emqx-drain\n",
		"Type=exec\nRemainAfterExit=yes\nExecStart=/usr/local/sbin/emqx-boot service\nRestart=on-failure\nRestartSec=10\nStandardOutput=journal+console\n",
		"\nnf_conntrack\n", "TimeoutStartSec=infinity\n", "volume ocid1.volume.1 is ATTACHING, instance ocid1.instance.me",
		"stop consul\nstart --no-block consul\n", "stop docker\nstart --no-block docker\n", "stop nomad\nstart --no-block nomad\n",
		"start --no-block emqx-address\n",
		`node meta {"Meta":{"emqx_boot":null}}`,
		"done: emqx-lab-1 is 10.80.1.11, its volume is on /mnt/bv/emqx-1",
		"precious", "NOTHING CHANGED",
	)
	for _, url := range []string{"http://169.254.169.254/opc/v2/instance/", "http://127.0.0.1:8500/v1/status/leader", "http://127.0.0.1:4646/v1/agent/health"} {
		has(t, out, "user 0 reads "+url, "user 1001 reads "+url, "user 99 reads nothing of "+url, "user 1000 reads nothing of "+url)
	}
	// The programs' own opinion of their configuration.
	for tool, begin := range map[string]string{"consul": `{"server":false,`, "nomad": `{"region":`} {
		_, rest, ok := strings.Cut(out, begin)
		assert.Assert(t, ok)
		line, _, _ := strings.Cut(rest, "\n")
		path := filepath.Join(t.TempDir(), "emqx.json")
		assert.NilError(t, os.WriteFile(path, []byte(begin+line), 0o600))
		cmd := exec.Command(agenttest.Tool(t, tool), "validate", path)
		if tool == "nomad" {
			cmd.Args = []string{tool, "config", "validate", path}
		}
		said, err := cmd.CombinedOutput()
		assert.NilError(t, err, string(said))
	}
	_, second, _ := strings.Cut(out, "SECOND RUN")
	has(t, second, "boot ended with 0", "precious")
	hasNot(t, second, "making a file system", "wrote ", "restarted ", "started ", "attaching", "added", "linked")
	hasNot(t, out, "command not found", "unbound variable")
}

// A relaunched instance: the volume has data, and the dead instance still has
// volume and address.
func TestBootTakesOverFromADeadInstance(t *testing.T) {
	image := volume(t, "mkfs.ext4", "-q", "-L", "emqx-1", "-F")
	c := fakeCloud{
		Instances:    map[string]string{me: "RUNNING", other: "RUNNING"},
		VolumeHolder: other, AddressVNIC: "ocid1.vnic.other", TerminateAfter: 9,
	}
	out := session(t, c, testBootArgs(), image, `
boot
inside 'jq -c "{VolumeHolder,AddressVNIC}" /boot-test/cloud.json; umount /mnt/bv/emqx-1'
`)
	has(
		t, out, "boot ended with 0", "which still lives", "is gone, detaching",
		"volume ocid1.volume.1 is DETACHING, instance ocid1.instance.other",
		`{"VolumeHolder":"ocid1.instance.me","AddressVNIC":"ocid1.vnic.me"}`,
		"Nomad forgot dead-id, an earlier instance of emqx-lab-1",
		"Nomad does not forget denied-id, an earlier instance of emqx-lab-1, whose work waits for that: nomad operator api -X POST /v1/node/denied-id/purge",
	)
	hasNot(t, out, "making a file system", "own-id", "neighbour-id")
}

func TestBootNeverTakesAVolumeFromALivingInstance(t *testing.T) {
	c := fakeCloud{
		Instances:    map[string]string{me: "RUNNING", other: "RUNNING"},
		VolumeHolder: other, AddressVNIC: "ocid1.vnic.other",
	}
	args := testBootArgs()
	args.ClaimTimeout = 6 * time.Second
	out := session(t, c, args, volume(t), `
boot
inside 'jq -c "{VolumeHolder,AddressVNIC}" /boot-test/cloud.json; ls /var/lib/emqx-boot'
`)
	has(
		t, out, "waiting: volume ocid1.volume.1 is ATTACHED to instance ocid1.instance.other, which still lives",
		"FAILED: claiming the volume: volume ocid1.volume.1 is ATTACHED to instance ocid1.instance.other, which still lives; gave up after 6 s",
		`node meta {"Meta":{"emqx_boot":"claimingthevolume:`,
		"boot ended with 1", `{"VolumeHolder":"ocid1.instance.other","AddressVNIC":"ocid1.vnic.other"}`,
	)
	hasNot(t, out, "done\n")
}

// An instance that may not ask about instances gets the answer of a forgotten one.
func TestBootWithoutPolicyTakesNothing(t *testing.T) {
	c := fakeCloud{Instances: map[string]string{}, VolumeHolder: other}
	args := testBootArgs()
	args.ClaimTimeout = 3 * time.Second
	out := session(t, c, args, volume(t), `boot; inside 'jq -c .VolumeHolder /boot-test/cloud.json'`)
	has(t, out, "boot ended with 1", `"ocid1.instance.other"`)
	hasNot(t, out, "detaching")
}

// mbr writes a partition table with one Linux partition.
const mbr = `
printf '\x00\x20\x21\x00\x83\x51\x05\x08\x00\x08\x00\x00\x00\xf8\x01\x00' | dd of="$0" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$0" bs=1 seek=510 conv=notrunc status=none`

func TestBootNeverFormatsData(t *testing.T) {
	for name, tc := range map[string]struct {
		fill   []string
		refuse string
	}{
		"our file system":       {[]string{"mkfs.ext4", "-q", "-L", "emqx-1", "-F"}, ""},
		"another node's":        {[]string{"mkfs.ext4", "-q", "-L", "emqx-0", "-F"}, "labelled 'emqx-0', not 'emqx-1'"},
		"no label":              {[]string{"mkfs.ext4", "-q", "-F"}, "e2label"},
		"swap":                  {[]string{"mkswap", "-q"}, "holds no ext4 (found: swap)"},
		"a partition table":     {[]string{"bash", "-c", mbr}, "holds no ext4"},
		"bytes without meaning": {[]string{"bash", "-c", `printf secret | dd of="$0" bs=1 seek=700000 conv=notrunc status=none`}, "(found: unknown data)"},
	} {
		t.Run(name, func(t *testing.T) {
			image := volume(t, tc.fill...)
			before, err := os.ReadFile(image)
			assert.NilError(t, err)
			args := testBootArgs()
			args.ClaimTimeout = 3 * time.Second
			out := session(t, free(), args, image, `boot; inside 'umount /mnt/bv/emqx-1 2>/dev/null || true'`)
			hasNot(t, out, "making a file system")
			if tc.refuse == "" {
				has(t, out, "boot ended with 0")
				return
			}
			has(t, out, "boot ended with 1", tc.refuse)
			after, err := os.ReadFile(image)
			assert.NilError(t, err)
			assert.Assert(t, bytes.Equal(before, after), "the volume changed")
		})
	}
}

func TestBootGrowsTheFileSystem(t *testing.T) {
	image := volume(t, "mkfs.ext4", "-q", "-L", "emqx-1", "-F")
	assert.NilError(t, os.Truncate(image, 128<<20))
	out := session(t, free(), testBootArgs(), image, `boot; inside 'df -m --output=size /mnt/bv/emqx-1; umount /mnt/bv/emqx-1'`)
	has(t, out, "boot ended with 0")
	var mb int
	lines := strings.Fields(out[strings.LastIndex(out, "1M-blocks"):])
	_, err := fmt.Sscan(lines[1], &mb)
	assert.NilError(t, err)
	assert.Assert(t, mb > 90, "the file system has %d MB", mb)
}

func TestBootStartsAgainWhatIsDown(t *testing.T) {
	out := session(t, free(), testBootArgs(), volume(t), `
boot >/dev/null
ip addr del 10.80.1.11/24 dev ens3
inside 'umount /mnt/bv/emqx-1; rm /run/units/*'
echo REBOOT
boot
inside 'umount /mnt/bv/emqx-1'
`)
	_, second, _ := strings.Cut(out, "REBOOT")
	has(t, second, "boot ended with 0", "mounted ", "added 10.80.1.11/24 to ens3", "started consul", "started nomad", "started docker", "started emqx-address")
	hasNot(t, second, "restarted ", "wrote ")
}

// An instance that ends: what Nomad leaves running goes in the order in which Nomad
// itself would stop it, before anything else does.
func TestBootEndsTheTasksOfAnInstance(t *testing.T) {
	out := session(t, free(), testBootArgs(), volume(t), `
boot >/dev/null
inside 'cat /etc/systemd/system/emqx-drain.service; cat /boot-test/systemctl'
fake docker <<'END'
#!/bin/bash
case "$*" in
  ps*emqx-*) echo e1; exit ;;
  ps*haproxy-*) echo h1; exit ;;
esac
echo "$(cut -d ' ' -f 1 /proc/uptime) docker $*" >>/boot-test/docker
END
echo THE END
inside '/usr/local/sbin/emqx-boot end'
inside 'cat /boot-test/docker; tail -n 2 /var/log/emqx-boot.log'
echo THE NEXT BOOT
boot
inside 'umount /mnt/bv/emqx-1'
`)
	has(
		t, out, "ExecStop=/usr/local/sbin/emqx-boot end\nTimeoutStopSec=660\n", "Before=nomad.service\n",
		"remote-fs.target containerd.service docker.service consul.service dnsmasq.service systemd-resolved.service emqx-address.service\n",
	)
	_, end, _ := strings.Cut(out, "THE END\n")
	end, again, _ := strings.Cut(end, "THE NEXT BOOT\n")
	has(t, end, "maintenance true as \"\"\n", "the instance ends: stopping e1 and h1\n", "nothing runs here any more\n")
	has(t, again, "maintenance false as \"\"\n", "the node is out of maintenance\n", "boot ended with 0")
	var at [3]float64
	var lines []string
	for line := range strings.Lines(end) {
		if _, what, ok := strings.Cut(line, " docker "); ok {
			_, err := fmt.Sscan(line, &at[len(lines)])
			assert.NilError(t, err)
			lines = append(lines, strings.TrimSpace(what))
		}
	}
	assert.DeepEqual(t, lines, []string{"kill -s TERM h1", "kill -s TERM e1", "wait e1 h1"})
	assert.Assert(t, at[1]-at[0] >= 9.9, "no HAProxy sends new clients here any more: %v", at)
}

// A first boot without the right to anything, say: user data is run once, so the unit that
// it leaves behind has to come through when that is mended.
func TestBootThatFailsIsTriedAgain(t *testing.T) {
	args := testBootArgs()
	args.ClaimTimeout = time.Second
	out := session(t, free(), args, volume(t), `
fake sleep <<'END'
#!/bin/bash
echo "$1" >>/boot-test/sleeps
[[ $1 != 20 ]] || rm /boot-test/broken # mended in the second pause
exec /bin/sleep 0.1
END
touch "$R/boot-test/broken"
inside '/usr/local/sbin/emqx-boot service' 2>&1 && echo the service ended with 0
inside 'grep -c "trying again" /var/log/emqx-boot.log; grep -xE "[0-9]{2,}" /boot-test/sleeps | tr "\n" " "; umount /mnt/bv/emqx-1'
`)
	has(
		t, out, "user data ended with 0", "waiting: asking for volumes failed", "FAILED: claiming the volume: asking for volumes failed",
		`node meta {"Meta":{"emqx_boot":"claimingthevolume:askingforvolumesfailed`,
		"trying again in 10 s; at once: systemctl restart emqx-boot\n", "trying again in 20 s", "\n10 20 ",
		"done: emqx-lab-1 is 10.80.1.11", `node meta {"Meta":{"emqx_boot":null}}`, "the service ended with 0",
	)
}

// Servers that are not there yet, or that no rule lets the node reach: the boot says whom
// Consul looks for, and comes through once they answer.
func TestBootWaitsForConsulsServers(t *testing.T) {
	out := session(t, free(), testBootArgs(), volume(t), `
fake curl <<'END'
#!/bin/bash
if [[ $* == *status/leader* && -e /boot-test/leaderless ]]; then echo '""'; exit; fi
exec /usr/bin/curl "$@"
END
fake sleep <<'END'
#!/bin/bash
[[ $1 != 10 ]] || rm -f /boot-test/leaderless # they come while it pauses
exec /bin/sleep 0.1
END
touch "$R/boot-test/leaderless"
sed -i 's/until_true 300 "Consul/until_true 1 "Consul/' "$R/usr/local/sbin/emqx-boot"
inside '/usr/local/sbin/emqx-boot service' 2>&1 && echo the service ended with 0
inside 'umount /mnt/bv/emqx-1'
`)
	before, after, found := strings.Cut(out, "trying again in 10 s; at once: systemctl restart emqx-boot\n")
	assert.Assert(t, found)
	const servers = `Consul (are its servers reachable: ["10.80.2.10"]?)`
	has(t, before, "waiting: "+servers, "FAILED: waiting for "+servers+": gave up after 1 s")
	hasNot(t, before, "done: ")
	has(t, after, "done: emqx-lab-1 is 10.80.1.11", "the service ended with 0")
}

// The registries' login comes from the vault, at every run, and is nobody's but root's.
func TestBootFetchesTheRegistriesLogin(t *testing.T) {
	args := testBootArgs()
	args.RegistryAuth = bootSecret
	c := free()
	c.Secret = `{"auths":{"fra.ocir.io":{"auth":"cGVvcGxlOnNlY3JldA=="}}}`
	out := session(t, c, args, volume(t), `
secret() { jq --arg s "$1" '.Secret = $s' "$R/boot-test/cloud.json" >"$T/new" && cat "$T/new" >"$R/boot-test/cloud.json"; }
boot
inside 'stat -c "%n %U %a" /etc/emqx-registries.json; jq -c . /etc/nomad.d/emqx.json; jq -r ".auths[].auth" /etc/emqx-registries.json | base64 -d; ls /etc/nomad.d'
echo ANOTHER VERSION
secret '{"auths":{"fra.ocir.io":{"auth":"cGVvcGxlOm90aGVy"}}}'
boot
inside 'jq -r ".auths[].auth" /etc/emqx-registries.json | base64 -d'
echo NO LOGIN
secret 'people:secret'
boot
sed -i 's/lab-1.registries/lab-1.other/' "$R/usr/local/sbin/emqx-boot"
boot
inside 'umount /mnt/bv/emqx-1'
`)
	first, rest, _ := strings.Cut(out, "ANOTHER VERSION")
	second, third, _ := strings.Cut(rest, "NO LOGIN")
	has(t, first, "boot ended with 0", "/etc/emqx-registries.json root 600", `"auth":[{"config":"/etc/emqx-registries.json"}]`, "people:secret", "emqx.json\nnomad.hcl\n")
	has(t, second, "boot ended with 0", "wrote /etc/emqx-registries.json", "people:other")
	hasNot(t, second, "restarted nomad")
	has(t, third, "boot ended with 1", "is not what docker login writes", "asking for the secret nodes.registryAuth failed (do the dynamic group")
	hasNot(t, third, "people:", "wrote /etc/emqx-registries.json")
	log, _, _ := strings.Cut(first, "/etc/emqx-registries.json root 600")
	hasNot(t, log, "cGVvcGxl")
}

// What the command refuses by itself it says on standard output, which the script reads.
func TestBootSaysWhatOCISaysOfItsArguments(t *testing.T) {
	args := testBootArgs()
	args.ClaimTimeout = time.Second
	out := session(t, free(), args, volume(t), `
sed -i 's/--lifecycle-state AVAILABLE/--lifecycle-state ATTACHED/' "$R/usr/local/sbin/emqx-boot"
boot
`)
	has(t, out, "boot ended with 1", "Invalid value for '--lifecycle-state': invalid choice: ATTACHED.")
}

// networkd and NetworkManager take foreign addresses off.
func TestBootKeepsTheAddress(t *testing.T) {
	out := session(t, free(), testBootArgs(), volume(t), `
touch "$R/run/units/systemd-networkd"
mkdir -p "$R/run/systemd/network"
echo '[Match]' >"$R/run/systemd/network/10-netplan-ens3.network"
fake networkctl <<'END'
#!/bin/bash
echo "networkctl $*" >>/boot-test/systemctl
[[ $1 != status ]] || echo '                  Network File: /run/systemd/network/10-netplan-ens3.network'
END
boot
inside 'cat /etc/systemd/network/10-netplan-ens3.network.d/emqx.conf; grep networkctl /boot-test/systemctl'
echo SECOND RUN
boot
inside 'grep -c "networkctl reload" /boot-test/systemctl'
echo NETWORK MANAGER
rm "$R/run/units/systemd-networkd"
touch "$R/run/units/NetworkManager"
fake nmcli <<'END'
#!/bin/bash
case "$*" in
  *device*) echo 0f1e-uuid ;;
  *show*) cat /boot-test/nm 2>/dev/null || true ;;
  *modify*) echo "nmcli $*"; echo 10.80.1.11/24 >/boot-test/nm ;;
esac
END
boot
echo FOURTH RUN
boot
echo TAKEN OFF
inside '/usr/local/sbin/emqx-boot address' 2>&1 & holds=$!
back() { for try in $(seq 150); do ip -4 -br addr show ens3 | grep 10.80.1.11/24 && return; sleep 0.2; done; }
for time in 1 2; do ip addr del 10.80.1.11/24 dev ens3; back; done
kill $holds
inside 'umount /mnt/bv/emqx-1'
`)
	first, rest, _ := strings.Cut(out, "SECOND RUN")
	second, rest, _ := strings.Cut(rest, "NETWORK MANAGER")
	third, rest, _ := strings.Cut(rest, "FOURTH RUN")
	fourth, held, _ := strings.Cut(rest, "TAKEN OFF")
	has(t, first, "boot ended with 0", "[Network]\nKeepConfiguration=static\n", "networkctl reload\n")
	has(t, second, "boot ended with 0", "\n1\n")
	has(t, third, "boot ended with 0", "nmcli connection modify 0f1e-uuid +ipv4.addresses 10.80.1.11/24\n")
	has(t, fourth, "boot ended with 0")
	hasNot(t, fourth, "modify")
	assert.Equal(t, strings.Count(held, "added 10.80.1.11/24 to ens3"), 2)
	assert.Equal(t, strings.Count(held, "10.80.1.100/24 10.80.1.11/24"), 2)
}

func TestBootTakesTheRoomOfTheBootVolume(t *testing.T) {
	out := session(t, free(), testBootArgs(), volume(t), `
mkdir -p "$R/usr/libexec"
printf '#!/bin/sh\necho "oci-growfs $*"\nexit 1\n' >"$R/usr/libexec/oci-growfs"
chmod 755 "$R/usr/libexec/oci-growfs"
boot
inside 'umount /mnt/bv/emqx-1'
`)
	has(t, out, "oci-growfs -y\n", "oci-growfs took no room", "boot ended with 0")
}

// Agents join secured servers by what the vault has for each. It is in no text but their own
// files, and a second boot changes nothing.
func TestBootJoinsSecuredServers(t *testing.T) {
	args := testBootArgs()
	args.ConsulSecret, args.NomadSecret, args.AuthMethod = "ocid1.vaultsecret.oc1.lab-1.consul", "ocid1.vaultsecret.oc1.lab-1.nomad", "nomad-workloads"
	c := free()
	c.Agents = map[string]string{
		args.ConsulSecret: `{"gossipKey":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=","ca":"authority","certificate":"certificate","privateKey":"secret-key","agentToken":"secret-agent","defaultToken":"secret-default"}`,
		args.NomadSecret:  `{"ca":"authority","certificate":"certificate","privateKey":"secret-key","token":"secret-nomad"}`,
	}
	out := session(t, c, args, volume(t), `
secret() { jq --arg id "$1" --arg s "$2" '.Agents[$id] = $s' "$R/boot-test/cloud.json" >"$T/new" && cat "$T/new" >"$R/boot-test/cloud.json"; }
fake curl <<'END'
#!/bin/bash
[[ $* == *client-introduction-token* ]] || exec /usr/bin/curl "$@"
echo "introduction of $(jq -c .) by $*" >&2
echo '{"JWT":"an.introduction.jwt"}'
END
boot
inside 'touch /opt/nomad/data/client/state.db' # as Nomad does
echo FILES
inside 'stat -c "%n %U %a" /etc/*.d/emqx-*.pem /etc/*.d/emqx*.json /etc/emqx-consul.token /etc/nomad.d/boot.token; ls /opt/nomad/data/client
  for f in /etc/consul.d/emqx-secret.json /etc/nomad.d/emqx.json; do jq -c . $f; done; cat /etc/emqx-consul.token /etc/nomad.d/boot.token; grep -c secret- /etc/consul.d/emqx.json || true'
sleep 1
echo SECOND RUN
boot
echo OTHER GOSSIP
secret ocid1.vaultsecret.oc1.lab-1.consul '{"gossipKey":"b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVyc2VjcmU=","autoEncrypt":true,"ca":"authority","agentToken":"secret-agent"}'
boot
inside 'jq -c . /etc/consul.d/emqx-secret.json; ls /etc/consul.d'
echo BAD
secret ocid1.vaultsecret.oc1.lab-1.nomad '{"ca":"authority","certificate":"certificate"}'
boot
secret ocid1.vaultsecret.oc1.lab-1.consul '{"gosipKey":"x"}'
boot
inside 'grep -E "secret-(key|agent|default|nomad)" /var/log/emqx-boot.log /usr/local/sbin/emqx-boot; umount /mnt/bv/emqx-1'
`)
	first, rest, _ := strings.Cut(out, "FILES\n")
	files, rest, _ := strings.Cut(rest, "SECOND RUN")
	second, rest, _ := strings.Cut(rest, "OTHER GOSSIP")
	third, bad, _ := strings.Cut(rest, "BAD\n")
	has(t, first, "boot ended with 0", `introduction of {"NodeName":"emqx-lab-1"} by `, "-H @/etc/nomad.d/boot.token",
		"https://server.global.nomad:4646/v1/acl/identity/client-introduction-token", "--connect-to server.global.nomad:4646:10.80.2.10:4646 --cacert /etc/nomad.d/emqx-ca.pem --cert",
		"introduced by Nomad's server 10.80.2.10")
	hasNot(t, first, "secret-")
	has(
		t, files, "/etc/consul.d/emqx-privateKey.pem root 640", "/etc/nomad.d/emqx-privateKey.pem root 640", "/etc/consul.d/emqx-secret.json root 640",
		"/etc/nomad.d/emqx.json root 600", "/etc/emqx-consul.token root 600", "/etc/nomad.d/boot.token root 600",
		`"encrypt":"c2VjcmV0`, `"tls":{"defaults":{"ca_file":"/etc/consul.d/emqx-ca.pem","verify_outgoing":true,"cert_file":"/etc/consul.d/emqx-certificate.pem","key_file":"/etc/consul.d/emqx-privateKey.pem"},"internal_rpc":{"verify_server_hostname":true}}`,
		`"acl":{"enabled":true,"default_policy":"deny","tokens":{"agent":"secret-agent","default":"secret-default"}}`,
		`"service_auth_method":"nomad-workloads","task_auth_method":"nomad-workloads"`, `"addresses":{"http":"127.0.0.1"}`,
		`"tls":{"rpc":true,"http":false,"ca_file":"/etc/nomad.d/emqx-ca.pem"`, `"acl":{"enabled":true}}`,
		"X-Consul-Token: secret-agent\n", "X-Nomad-Token: secret-nomad\n", "\n0\n",
	)
	hasNot(t, files, "intro_token")
	has(t, second, "boot ended with 0")
	hasNot(t, second, "wrote ", "restarted ", "introduc")
	has(t, third, "boot ended with 0", `"auto_encrypt":{"tls":true}`, "restarted consul")
	hasNot(t, third, "cert_file", "emqx-certificate.pem\n", "restarted nomad")
	has(
		t, bad, "FAILED: the secret nomad.agentSecret is no JSON object of ca certificate privateKey token, with the certificate and its key both or none",
		"FAILED: the secret consul.agentSecret is no JSON object of gossipKey ca",
	)
	hasNot(t, bad, "secret-", "gosipKey")
}
