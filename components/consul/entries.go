package consul

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const entriesType = "emqx:consul:Entries"

// EntriesArgs describe the intended cluster.
type EntriesArgs struct {
	// Required.

	// Environment is part of the path: emqx/<environment>/.
	Environment string
	// Size is the number of nodes.
	Size int
	// Version is the EMQX image.
	Version string
	// Endpoints are the URLs that clients are given, by protocol.
	Endpoints map[string]string

	// Defaulted.

	// Datacenter of Consul; default "dc1".
	Datacenter string
}

// Entries record the intended cluster under emqx/<environment>/ in Consul's
// key-value store: size, version, endpoints (one URL a line). They are plain
// text in Consul and in the state: no secret belongs here.
//
//	entries, err := consul.NewEntries(ctx, "entries", &consul.EntriesArgs{
//		Environment: "prod",
//		Size:        3,
//		Version:     "emqx/emqx:5.8.9",
//		Endpoints:   map[string]string{"mqtt": "mqtt://mqtt.example.com:1883"},
//	})
type Entries struct {
	pulumi.ResourceState

	// Each is the keys' resource, for others to depend on: see [Members].
	Each []pulumi.Resource
}

// NewEntries registers the entries; every fault of args is reported before
// anything is.
func NewEntries(ctx *pulumi.Context, name string, args *EntriesArgs, opts ...pulumi.ResourceOption) (*Entries, error) {
	a := EntriesArgs{}
	if args != nil {
		a = *args
	}
	if a.Datacenter == "" {
		a.Datacenter = cluster.DefaultDatacenter
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating the entries %q: %w", name, err)
	}
	e := &Entries{}
	if err := ctx.RegisterComponentResource(entriesType, name, e, opts...); err != nil {
		return nil, err
	}
	urls := slices.Sorted(maps.Values(a.Endpoints))
	keys := consul.KeysKeyArray{}
	for _, kv := range [][2]string{
		{"endpoints", strings.Join(urls, "\n")},
		{"size", strconv.Itoa(a.Size)},
		{"version", a.Version},
	} {
		keys = append(keys, consul.KeysKeyArgs{
			Path:  pulumi.String("emqx/" + a.Environment + "/" + kv[0]),
			Value: pulumi.String(kv[1]),
			// Without it the provider leaves the key behind at destroy.
			Delete: pulumi.Bool(true),
		})
	}
	written, err := consul.NewKeys(ctx, name, &consul.KeysArgs{
		Datacenter: pulumi.String(a.Datacenter), Keys: keys,
	}, pulumi.Parent(e))
	if err != nil {
		return nil, fmt.Errorf("creating the keys under emqx/%s/: %w", a.Environment, err)
	}
	e.Each = []pulumi.Resource{written}
	return e, ctx.RegisterResourceOutputs(e, pulumi.Map{})
}

func (a *EntriesArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("version", a.Version)
	if a.Size < 1 {
		f.Add("size", "must be at least 1, got %d", a.Size)
	}
	if len(a.Endpoints) == 0 {
		f.Add("endpoints", "must hold at least one URL")
	}
	return f.Err()
}
