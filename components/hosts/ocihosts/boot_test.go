package ocihosts

import (
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

func testBootArgs() BootArgs {
	return BootArgs{
		Environment: "lab", Index: 1,
		ConsulServers: []string{"10.80.2.10"}, NomadServers: []string{"10.80.2.10:4647"},
	}
}

func script(t *testing.T, args BootArgs) string {
	t.Helper()
	text, err := BootScript(args)
	assert.NilError(t, err)
	path := filepath.Join(t.TempDir(), "boot.sh")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o700))
	return path
}

func TestBootScriptFitsIntoUserData(t *testing.T) {
	args := testBootArgs()
	for range 7 {
		args.ConsulServers = append(args.ConsulServers, "consul-server-with-a-long-name.private.vcn.oraclevcn.com")
		args.NomadServers = append(args.NomadServers, "nomad-server-with-a-long-name.private.vcn.oraclevcn.com:4647")
	}
	text, err := BootScript(args)
	assert.NilError(t, err)
	// Room for an RSA key of 4096 bits beside it, and for what is still to come.
	packed := userData(text)
	assert.Assert(t, len(packed)+800 < limits.MaxMetadata/2, "user data takes %d bytes", len(packed))
	assert.Equal(t, packed, userData(text), "a changing text would replace every instance configuration")

	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	assert.NilError(t, err)
	back, err := io.ReadAll(z)
	assert.NilError(t, err)
	assert.Equal(t, string(back), text)
}

func TestBootScriptPassesShellcheck(t *testing.T) {
	shellcheck := agenttest.Tool(t, "shellcheck")
	rendered := script(t, testBootArgs())
	source := filepath.Join(t.TempDir(), "source.sh")
	text, err := BootScript(testBootArgs())
	assert.NilError(t, err)
	header, _, ok := strings.Cut(text, "\nset -Eeuo pipefail\n")
	assert.Assert(t, ok)
	assert.NilError(t, os.WriteFile(source, []byte(header+"\n"+bootText), 0o700))
	out, err := exec.Command(shellcheck, "--shell=bash", "--severity=style", source).CombinedOutput()
	assert.NilError(t, err, string(out))
	// What is sent has no comments, and so no directives for shellcheck.
	out, err = exec.Command(shellcheck, "--shell=bash", "--severity=warning", "--exclude=SC1090,SC1091", rendered).CombinedOutput()
	assert.NilError(t, err, string(out))
}

var (
	// substitution is a value that the script asks another command for.
	substitution = regexp.MustCompile(`"\$\([^)]*\)"`)
	// ociCall is a call of `oci`, up to the shell's own syntax.
	ociCall = regexp.MustCompile(`\b(?:cloud|oci) ((?:bv|compute|network) [^;|&<>)]*)`)
)

// Each call is one that the recorded oci-cli takes; that is of the version which is installed.
func TestBootScriptCallsOCIAsItIs(t *testing.T) {
	assert.Equal(t, BootArgs{}.withDefaults().OCICLIVersion, ocicli.Version())
	text := strings.ReplaceAll(withoutComments(bootText), "\\\n", "")
	var called []string
	for _, m := range ociCall.FindAllStringSubmatch(substitution.ReplaceAllString(text, "id"), -1) {
		line := strings.TrimSuffix(m[1], " 2") // of 2>&1
		call, err := ocicli.Parse(strings.Fields(line))
		assert.NilError(t, err, line)
		called = append(called, call.Command)
		// Its choices differ between versions: ADR 0036.
		_, waits := call.Options["wait-for-state"]
		assert.Assert(t, !waits, line)
	}
	slices.Sort(called)
	assert.DeepEqual(t, slices.Compact(called), []string{
		"bv volume list", "compute instance get", "compute volume-attachment attach", "compute volume-attachment detach",
		"compute volume-attachment list", "network private-ip list", "network vnic assign-private-ip",
	})
}

func TestBootScriptIsValidBash(t *testing.T) {
	out, err := exec.Command(agenttest.Tool(t, "bash"), "-n", script(t, testBootArgs())).CombinedOutput()
	assert.NilError(t, err, string(out))
}

// The settings come from a stack file: none may become a command.
func TestShellQuote(t *testing.T) {
	bash := agenttest.Tool(t, "bash")
	for _, hostile := range []string{
		"", "plain", "a b", "it's", "''", `"`, `\`, `\'`, "$(touch x)", "`id`", "a\nb", "-n", "*", "ü", "!!",
	} {
		out, err := exec.Command(bash, "-c", "printf '%s.' "+shellQuote(hostile)).Output()
		assert.NilError(t, err)
		assert.Equal(t, string(out), hostile+".")
	}
}

func TestBootScriptSettings(t *testing.T) {
	args := testBootArgs()
	args.MaxKillTimeout = 150 * time.Second
	args.ConsulServers = []string{"10.0.0.1", "consul.example.com"}
	text, err := BootScript(args)
	assert.NilError(t, err)
	for _, line := range []string{
		"#!/bin/bash",
		"readonly EMQX_ENV='lab'",
		"readonly EMQX_INDEX='1'",
		"readonly DATACENTER='dc1'",
		"readonly NOMAD_REGION='global'",
		`readonly CONSUL_SERVERS='["10.0.0.1","consul.example.com"]'`,
		`readonly NOMAD_SERVERS='["10.80.2.10:4647"]'`,
		"readonly MAX_KILL_TIMEOUT='150s'",
		"readonly CLAIM_SECONDS='1800'",
	} {
		assert.Assert(t, cmp.Contains(strings.Split(text, "\n"), line))
	}
	assert.Assert(t, strings.HasPrefix(text, "#!/bin/bash\nreadonly "))
	again, err := BootScript(args)
	assert.NilError(t, err)
	assert.Equal(t, text, again, "a changing text would relaunch every instance")
}

// The kernel keeps these from outgoing connections: otherwise a client port of
// 1883 makes HAProxy's next start fail.
func TestReservedPorts(t *testing.T) {
	assert.Equal(t, reservedPorts(cluster.DefaultPorts), "1883,4370,4646-4648,5370,8080,8083-8084,8300-8302,8500-8503,8600,8883,18083,21000-21999")
	assert.Equal(t, reservedPorts(cluster.Ports{
		MQTT: 2883, MQTTS: 2884, WS: 4645, WSS: 30000, Admin: 9080, Broker: cluster.BrokerPorts{MQTT: 21999, MQTTS: 22000, WS: 40000, WSS: 40001},
	}), "2883-2884,4370,4645-4648,5370,8300-8302,8500-8503,8600,9080,18083,21000-22000,30000,40000-40001")
}

func TestBootScriptRefuses(t *testing.T) {
	_, err := BootScript(BootArgs{
		Environment: "Lab; reboot", Index: -1, Datacenter: "DC 1",
		NomadServers: []string{"ok.example.com", "10.0.0.1:99999", "a b", "$(reboot)"}, NomadVersion: "latest",
		NoFile: 12, MaxKillTimeout: 30 * time.Second, Ports: cluster.Ports{MQTT: 80},
	})
	for _, fault := range []string{
		`environment: must have a name of lower-case letters and digits with single dashes between, at most 31, got "Lab; reboot"`,
		"index: must be 0 to 99, got -1",
		`datacenter: must be 1 to 63 lower-case letters`,
		"consulServers: must name at least one server",
		`nomadServers[1]: must be an address or a name, with or without a port, got "10.0.0.1:99999"`,
		`nomadServers[2]:`, `nomadServers[3]:`,
		`nomadVersion: must be a version such as 1.2.3, got "latest"`,
		"ports.mqtt: must be 1024 to 65535", "ports.admin: must be 1024 to 65535",
		"noFile: must be 1024 to 1073741824, got 12",
		// ADR 0013: Nomad's own cap of 30 s would cut every stop of EMQX.
		"maxKillTimeout: must be at least 2m10s: EMQX takes up to 120 s to stop, got 30s",
	} {
		assert.ErrorContains(t, err, fault)
	}
	assert.Assert(t, !strings.Contains(err.Error(), "nomadServers[0]"))
}
