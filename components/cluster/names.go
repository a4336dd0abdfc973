package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a stack is asked for where nothing else is said.
const (
	DefaultDatacenter = "dc1"     // of Nomad and Consul
	DefaultRegion     = "global"  // of Nomad
	DefaultNamespace  = "default" // of Nomad

	// What the boot script installs where the image has none.
	DefaultNomadVersion  = "1.11.3"
	DefaultConsulVersion = "1.22.6"
)

const (
	// EnvironmentPattern is what an environment's name looks like: it is part of the
	// nodes' names, which are labels of DNS.
	EnvironmentPattern = `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`
	// MaxEnvironment is the most characters of one.
	MaxEnvironment = 31
	// DatacenterPattern is what a datacenter's name looks like. Nomad and Consul share
	// it, and it is a label of the nodes' DNS names: Consul's agent takes lower case,
	// digits, - and _ (agent/config/builder.go).
	DatacenterPattern = `^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`
)

var (
	environmentPattern = regexp.MustCompile(EnvironmentPattern)
	datacenterPattern  = regexp.MustCompile(DatacenterPattern)
)

// EnvironmentFault is what is wrong with an environment's name, "" for nothing.
func EnvironmentFault(name string) string {
	if environmentPattern.MatchString(name) && len(name) <= MaxEnvironment {
		return ""
	}
	return fmt.Sprintf("must have a name of lower-case letters and digits with single dashes between, at most %d, got %q", MaxEnvironment, name)
}

// DatacenterFault is what is wrong with a datacenter's name, "" for nothing.
func DatacenterFault(name string) string {
	if datacenterPattern.MatchString(name) {
		return ""
	}
	return fmt.Sprintf("must be 1 to 63 lower-case letters, digits, - and _, got %q", name)
}

// Name is the cluster's: that of its balancer in the cloud and of EMQX's job in Nomad.
func Name(environment string) string { return "emqx-" + environment }

// NodeName is the name of node index in its cloud, Consul and Nomad.
func NodeName(environment string, index int) string {
	return Name(environment) + "-" + strconv.Itoa(index)
}

// EnvironmentOf is the environment in a node's name.
func EnvironmentOf(nodeName string, index int) string {
	return strings.TrimSuffix(strings.TrimPrefix(nodeName, Name("")), "-"+strconv.Itoa(index))
}

// EMQXJobID is the id of the cluster's job. It never changes in the life of a
// stack: a new id would be a second job that wants the same static ports.
func EMQXJobID(environment string) string { return Name(environment) }

// UserPattern is what the name of a user or a device looks like: no wildcard, no level, and no quotes, as it becomes part of
// topics, and no longer than the common name of a certificate may be (RFC 5280, ub-common-name).
const UserPattern = `^[A-Za-z0-9._@:-]{1,64}$`

// RevokedKey is the key of Consul that holds the revoked certificates of devices, a line each: its serial number, as HAProxy
// prints it, and the second since 1970 at which it ends. The proxies' job reads it.
func RevokedKey(environment string) string { return "emqx/" + environment + "/revoked-devices" }

// EMQXTask is the one task of EMQX's job.
const EMQXTask = "emqx"

// Services in Consul's catalog, each with the environment as its tag.
const (
	// DashboardService is EMQX's dashboard and REST API.
	DashboardService = "emqx-dashboard"
	// MembersService is the stack's own list of members, by which EMQX finds them.
	MembersService = "emqx-cluster"
)

// ServiceDomain ends the names of services in Consul's DNS.
const ServiceDomain = ".service.consul"

// ServiceName is the name in Consul's DNS of an environment's service.
func ServiceName(environment, service string) string {
	return environment + "." + service + ServiceDomain
}

// Host is the node's stable name in Consul's DNS. It survives a new address,
// which is why EMQX is named after it (ADR 0004).
func Host(node, datacenter string) string {
	return node + ".node." + datacenter + ".consul"
}

// EMQXName is the EMQX node name. The short name is "emqx" on every node:
// trailing digits would move the distribution port.
func EMQXName(node, datacenter string) string { return "emqx@" + Host(node, datacenter) }

// NodeOf is the node in an EMQX node name: its own name, and its host in Consul's DNS.
func NodeOf(emqxName string) (node, host string) {
	_, host, _ = strings.Cut(emqxName, "@")
	node, _, _ = strings.Cut(host, ".")
	return node, host
}

// HostVolume is the volume that Nomad's client of node index offers: allocation i of
// EMQX's job asks for that of its own index.
func HostVolume(index int) string { return fmt.Sprintf("emqx[%d]", index) }

// Freeform tags that are the stack's own.
const (
	TagCluster  = "emqx-cluster"  // the environment, on everything
	TagPool     = "pool_type"     // "emqx", on what belongs to one node
	TagIndex    = "group-index"   // the node's
	TagInstance = "emqx-instance" // on an instance pool: what its instance is
)

// OwnTags are all of them.
func OwnTags() []string { return []string{TagCluster, TagPool, TagIndex, TagInstance} }

// poolType is the value of [TagPool], and of the meta of that name.
const poolType = "emqx"

// Tags are the freeform tags of a resource that belongs to the whole cluster.
// The cluster's own tag wins over extra ones: the boot script finds its volume
// and its address by it.
func Tags(environment string, extra map[string]string) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, extra)
	tags[TagCluster] = environment
	return tags
}

// NodeTags are the freeform tags of a resource that belongs to one node.
func NodeTags(environment string, index int, extra map[string]string) map[string]string {
	tags := Tags(environment, extra)
	tags[TagPool] = poolType
	tags[TagIndex] = strconv.Itoa(index)
	return tags
}

// Meta is one value that a Nomad client says of its node.
type Meta struct{ Key, Value string }

// MetaIndex is the key of the node's index, MetaBoot that of what its boot waits for.
const (
	MetaIndex = "group-index"
	MetaBoot  = "emqx_boot"
)

// NodeMeta is what the Nomad client of node index says of itself, in a fixed order. The
// jobs' constraints ask for the first and the last.
func NodeMeta(environment string, index int) []Meta {
	return []Meta{{"pool_type", poolType}, {MetaIndex, strconv.Itoa(index)}, {"emqx_cluster", environment}}
}

// HasMeta tells whether a node's meta are those of node index.
func HasMeta(meta map[string]string, environment string, index int) bool {
	return !slices.ContainsFunc(NodeMeta(environment, index), func(m Meta) bool { return meta[m.Key] != m.Value })
}
