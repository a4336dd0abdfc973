package ocihosts

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed" // the boot script
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

// bootText is the boot script but for its first line and its settings.
//
//go:embed files/boot.sh
var bootText string

// BootArgs are what the boot script of a node is told. All of it is known when a
// stack is planned, and none of it is a secret: every program on the instance
// can read it.
type BootArgs struct {
	// Required.

	// Environment is the value of the tag emqx-cluster.
	Environment string
	// Index of the node, the value of the tag group-index.
	Index int
	// ConsulServers are addresses or names, with a port when it is not 8301.
	ConsulServers []string
	// NomadServers are addresses or names, with a port when it is not 4647.
	NomadServers []string

	// Defaulted.

	// Datacenter of Consul and Nomad; default "dc1".
	Datacenter string
	// Region of Nomad; default "global".
	Region string
	// ConsulVersion is installed where the image has no Consul; default 1.22.6.
	ConsulVersion string
	// NomadVersion is installed where the image has no Nomad; default 1.11.3.
	NomadVersion string
	// DockerVersion is installed where the image has no Docker; default 29.8.1: 28 ended
	// when 29 came, for Docker supports one line.
	DockerVersion string
	// ContainerdVersion comes with it; default 2.3.6, what Docker's packages of that
	// version were released with. Docker's own dependency takes any.
	ContainerdVersion string
	// OCICLIVersion is installed where an Ubuntu image has no oci command; default
	// 3.89.3, the one whose options are recorded (internal/ocicli). Oracle Linux has its
	// own package, of another version.
	OCICLIVersion string
	// RegistryAuth is the OCID of the Vault secret with which Docker's driver logs in to
	// registries, the text of a Docker config.json; default none.
	RegistryAuth string
	// ConsulSecret is the OCID of the Vault secret with which Consul's agent joins secured
	// servers; default none: they are open, or the image has files for it.
	ConsulSecret string
	// NomadSecret is the same of Nomad's agent.
	NomadSecret string
	// AuthMethod is Consul's, at which Nomad logs in for its jobs; default none.
	AuthMethod string
	// NoFile is the limit of open files of Docker and so the most that a
	// container may ask for; default 1048576.
	NoFile int
	// Ports that HAProxy and EMQX listen on; default [cluster.DefaultPorts]. Outgoing
	// connections of the node keep off them.
	Ports cluster.Ports
	// MaxKillTimeout caps the kill_timeout of every job on the node; default
	// 10 min. EMQX takes up to 120 s to stop, and Nomad's own cap is 30 s.
	MaxKillTimeout time.Duration
	// ClaimTimeout is how long the script waits for volume and address while an
	// older instance has them; default 30 min.
	ClaimTimeout time.Duration
}

// reservedPorts are the fixed ports of a node, in the kernel's own notation:
// outgoing connections must not take them.
func reservedPorts(p cluster.Ports) string {
	var words []string
	for _, r := range cluster.ReservedPorts(p) {
		word := strconv.Itoa(r.Min)
		if r.Max != r.Min {
			word += "-" + strconv.Itoa(r.Max)
		}
		words = append(words, word)
	}
	return strings.Join(words, ",")
}

var (
	bootVersionPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+([+~-][0-9A-Za-z.+~-]+)?$`)
	hostPattern        = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
)

// BootScript is what the node's user data holds: the settings, quoted for the shell,
// and the script that uses them, without its comments: another comment must not be
// another instance.
func BootScript(args BootArgs) (string, error) {
	a := args.withDefaults()
	if err := a.validate(); err != nil {
		return "", err
	}
	consul, err := json.Marshal(a.ConsulServers)
	if err != nil {
		return "", err
	}
	nomad, err := json.Marshal(a.NomadServers)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#!/bin/bash\n")
	for _, s := range [][2]string{
		{"EMQX_ENV", a.Environment},
		{"EMQX_INDEX", strconv.Itoa(a.Index)},
		{"DATACENTER", a.Datacenter},
		{"NOMAD_REGION", a.Region},
		{"CONSUL_SERVERS", string(consul)},
		{"NOMAD_SERVERS", string(nomad)},
		{"CONSUL_VERSION", a.ConsulVersion},
		{"NOMAD_VERSION", a.NomadVersion},
		{"DOCKER_VERSION", a.DockerVersion},
		{"CONTAINERD_VERSION", a.ContainerdVersion},
		{"OCI_CLI_VERSION", a.OCICLIVersion},
		{"REGISTRY_AUTH", a.RegistryAuth},
		{"CONSUL_SECRET", a.ConsulSecret},
		{"NOMAD_SECRET", a.NomadSecret},
		{"AUTH_METHOD", a.AuthMethod},
		{"NOFILE", strconv.Itoa(a.NoFile)},
		{"MAX_KILL_TIMEOUT", wholeSeconds(a.MaxKillTimeout) + "s"},
		{"CLAIM_SECONDS", wholeSeconds(a.ClaimTimeout)},
		{"PORT_MIN", strconv.Itoa(cluster.DynamicMin)},
		{"PORT_MAX", strconv.Itoa(cluster.DynamicMax)},
		{"RESERVED_PORTS", reservedPorts(a.Ports)},
	} {
		fmt.Fprintf(&b, "readonly %s=%s\n", s[0], shellQuote(s[1]))
	}
	b.WriteString(withoutComments(bootText))
	return b.String(), nil
}

// userData is the script as an instance's metadata have it: in base64, and compressed,
// which cloud-init undoes, for OCI allows [limits.MaxMetadata]. Should another release of Go
// compress to other bytes, the instance configurations are replaced and the instances
// stay: what an instance is, its tag says by the script itself.
func userData(script string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	// A buffer refuses nothing.
	_, _ = z.Write([]byte(script))
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func (a BootArgs) withDefaults() BootArgs {
	a.Datacenter = cmp.Or(a.Datacenter, cluster.DefaultDatacenter)
	a.Region = cmp.Or(a.Region, cluster.DefaultRegion)
	a.ConsulVersion = cmp.Or(a.ConsulVersion, cluster.DefaultConsulVersion)
	a.NomadVersion = cmp.Or(a.NomadVersion, cluster.DefaultNomadVersion)
	a.DockerVersion = cmp.Or(a.DockerVersion, "29.8.1")
	a.ContainerdVersion = cmp.Or(a.ContainerdVersion, "2.3.6")
	a.OCICLIVersion = cmp.Or(a.OCICLIVersion, "3.89.3")
	a.NoFile = cmp.Or(a.NoFile, cluster.DefaultNoFile)
	a.Ports = cmp.Or(a.Ports, cluster.DefaultPorts)
	a.MaxKillTimeout = cmp.Or(a.MaxKillTimeout, cluster.MaxKillTimeout)
	a.ClaimTimeout = cmp.Or(a.ClaimTimeout, 30*time.Minute)
	return a
}

func (a BootArgs) validate() error {
	var f fault.List
	if what := cluster.EnvironmentFault(a.Environment); what != "" {
		f.Add("environment", "%s", what)
	}
	f.Range("index", a.Index, 0, cluster.MaxNodes-1)
	if what := cluster.DatacenterFault(a.Datacenter); what != "" {
		f.Add("datacenter", "%s", what)
	}
	f.Require("region", a.Region)
	for path, servers := range map[string][]string{"consulServers": a.ConsulServers, "nomadServers": a.NomadServers} {
		if len(servers) == 0 {
			f.Add(path, "must name at least one server")
		}
		for i, s := range servers {
			if !validServer(s) {
				f.Add(fmt.Sprintf("%s[%d]", path, i), "must be an address or a name, with or without a port, got %q", s)
			}
		}
	}
	for path, version := range map[string]string{
		"consulVersion": a.ConsulVersion, "nomadVersion": a.NomadVersion,
		"dockerVersion": a.DockerVersion, "containerdVersion": a.ContainerdVersion, "ociCliVersion": a.OCICLIVersion,
	} {
		if !bootVersionPattern.MatchString(version) {
			f.Add(path, "must be a version such as 1.2.3, got %q", version)
		}
	}
	for path, secret := range map[string]string{"registryAuth": a.RegistryAuth, "consulSecret": a.ConsulSecret, "nomadSecret": a.NomadSecret} {
		if secret != "" && !limits.IsVaultSecret(secret) {
			f.Add(path, "must be the OCID of a Vault secret, ocid1.vaultsecret.<realm>.<region>.<id>, got %q", secret)
		}
	}
	f.Range("noFile", a.NoFile, 1024, 1<<30)
	requirePorts(&f, a.Ports)
	if a.MaxKillTimeout < cluster.BrokerStop {
		f.Add("maxKillTimeout", "must be at least %s: EMQX takes up to 120 s to stop, got %s", cluster.BrokerStop, a.MaxKillTimeout)
	}
	if a.ClaimTimeout < time.Second {
		f.Add("claimTimeout", "must be at least 1s, got %s", a.ClaimTimeout)
	}
	return f.Err()
}

func validServer(s string) bool {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
		host = h
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return hostPattern.MatchString(host)
}

func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// withoutComments drops the lines that are nothing but a comment. The script has
// no here-document with such a line.
func withoutComments(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// shellQuote is s as one word of any POSIX shell, whatever it holds.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
