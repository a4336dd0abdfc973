package machine

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// InstanceHandler answers instances: metadata and the oci command. cloud.Cloud is one.
type InstanceHandler interface {
	Metadata(instanceID, path string) (body []byte, contentType string, ok bool)
	CLI(ctx context.Context, caller string, args []string) (stdout, stderr []byte, exit int)
}

// Image is a container image that instances have without pulling it.
type Image struct {
	Ref   string
	Build func() (v1.Image, error) // used where Ref cannot be pulled
}

// MQTTPorts are the doors that every lab has, where a stack's balancer usually
// listens; one with other ports gets more doors.
var MQTTPorts = []uint16{1883, 8883, 8083, 8084}

// Config says where the lab lives and what it is made of.
type Config struct {
	// Required.
	Dir          string // state folder; Down removes it
	GuestBinary  string // bin/lab-guest
	ConsulBinary string
	NomadBinary  string

	// Defaulted.
	Name       string     // "emqxlab"; prefix of namespaces, [a-z][a-z0-9]{0,9}
	Door       netip.Addr // 127.0.77.1
	Datacenter string     // "dc1"
	Region     string     // Nomad's; "global"
	Zone       string     // "lab.test"

	// Optional.
	Servers Servers // open ones unless it says otherwise
	Images  []Image
	Handler InstanceHandler // may come later, by SetHandler
	// PublicName is what the MQTT doors connect to; empty: the zone's first A record.
	PublicName string
	Log        func(format string, args ...any)
}

var labName = regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`)

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = "emqxlab"
	}
	if !c.Door.IsValid() {
		c.Door = netip.AddrFrom4([4]byte{127, 0, 77, 1})
	}
	if c.Datacenter == "" {
		c.Datacenter = "dc1"
	}
	if c.Region == "" {
		c.Region = "global"
	}
	if c.Zone == "" {
		c.Zone = "lab.test"
	}
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	// No dash: names of namespaces are <lab>-<rest>, and Down must be able to tell
	// one lab's from another's by the prefix alone.
	if !labName.MatchString(c.Name) {
		return c, fmt.Errorf("lab name %q: must be a letter and up to 9 letters or digits, lower case", c.Name)
	}
	if !c.Door.Is4() || !c.Door.IsLoopback() {
		return c, fmt.Errorf("door address %s: must be an IPv4 loopback address, such as 127.0.77.1", c.Door)
	}
	if !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/" {
		return c, fmt.Errorf("state folder %q: must be an absolute path, and not the root", c.Dir)
	}
	c.Dir = filepath.Clean(c.Dir)
	return c, c.Servers.validate()
}

// The lab's network plan.
var (
	privateNet  = netip.MustParsePrefix("10.80.1.0/24")
	publicNet   = netip.MustParsePrefix("10.80.0.0/24")
	serverNet   = netip.MustParsePrefix("10.80.2.0/24")
	foreignNet  = netip.MustParsePrefix("10.80.9.0/24")
	internetNet = netip.MustParsePrefix("203.0.113.0/24")

	serverAddress   = netip.MustParseAddr("10.80.2.10")
	foreignAddress  = netip.MustParseAddr("10.80.9.10")
	internetAddress = netip.MustParseAddr("203.0.113.10")
)

// ServerAddress is where the lab's Consul and Nomad servers are.
func ServerAddress() netip.Addr { return serverAddress }

// internetLast is the last octet of the internet namespace's extra addresses,
// for load from many sources.
const internetLast = 99

// gatewayOf is a subnet's first address.
func gatewayOf(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// Names of the base namespaces, after "<lab>-".
const (
	nsGateway  = "gw"
	nsServers  = "srv"
	nsInternet = "inet"
	nsForeign  = "foreign"
)
