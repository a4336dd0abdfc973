package recorder

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// Resource is one registration.
type Resource struct {
	Type, Name string
	// Parent is the name of the component above, empty at the top.
	Parent string
	Custom bool
	Inputs resource.PropertyMap
	// DependsOn are the names of all resources it waits for, explicit ones and
	// those whose outputs it takes, sorted.
	DependsOn     []string
	IgnoreChanges []string
	// Gates are the hooks that run before it is created, by name.
	Gates []string
	// UpdateGates are those before an update.
	UpdateGates []string
	Protect     bool
	// Retain is set when the cloud's own resource stays when this one goes.
	Retain bool
	// Import is the id of an existing resource that it takes over.
	Import string
	// ReplaceOnChanges are the properties whose change replaces it.
	ReplaceOnChanges []string
	// Provider is the name of its explicit provider, empty for the default one.
	Provider string
}

// Recording is all a program registered, in no particular order.
type Recording struct{ Resources []Resource }

// Options are what a program sees of the world.
type Options struct {
	// Project and Stack; default "emqx-oci" and "test".
	Project, Stack string
	// Preview runs dry: ids and outputs of resources are unknown.
	Preview bool
	// Config are configuration values by full key; SecretKeys those that are
	// kept encrypted.
	Config     map[string]string
	SecretKeys []string
	// Outputs adds to what a created resource returns, beside its inputs.
	Outputs func(Resource) map[string]any
	// Call answers functions such as a lookup.
	Call func(token string, args resource.PropertyMap) (map[string]any, error)
}

// Run runs program and returns what it registered before it ended, well or not.
func Run(program pulumi.RunFunc, opts Options) (*Recording, error) {
	m := &monitor{opts: opts}
	err := pulumi.RunErr(program,
		pulumi.WithMocks(cmp.Or(opts.Project, "emqx-oci"), cmp.Or(opts.Stack, "test"), m),
		func(info *pulumi.RunInfo) {
			info.DryRun = opts.Preview
			info.Config = opts.Config
			info.ConfigSecretKeys = opts.SecretKeys
		})
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Recording{Resources: m.found}, err
}

// Find is the resource with this name and a type that ends in kind; the bool
// tells whether it was registered.
func (r *Recording) Find(kind, name string) (Resource, bool) {
	for _, x := range r.Resources {
		if x.Name == name && strings.HasSuffix(x.Type, ":"+kind) {
			return x, true
		}
	}
	return Resource{}, false
}

// Kind are the resources whose type ends in kind, by name.
func (r *Recording) Kind(kind string) []Resource {
	var found []Resource
	for _, x := range r.Resources {
		if strings.HasSuffix(x.Type, ":"+kind) {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	return found
}

type monitor struct {
	opts  Options
	mu    sync.Mutex
	found []Resource
}

func (m *monitor) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	if m.opts.Call == nil {
		return nil, fmt.Errorf("calling %s: the test answers no calls", args.Token)
	}
	answer, err := m.opts.Call(args.Token, args.Args)
	if err != nil {
		return nil, err
	}
	return resource.NewPropertyMapFromMap(answer), nil
}

func (m *monitor) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r, err := read(args)
	if err != nil {
		return "", nil, err
	}
	m.mu.Lock()
	m.found = append(m.found, r)
	m.mu.Unlock()

	if m.opts.Preview {
		return "", args.Inputs, nil
	}
	state := args.Inputs.Copy()
	if m.opts.Outputs != nil {
		for key, value := range m.opts.Outputs(r) {
			state[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
		}
	}
	return "id-" + r.Name, state, nil
}

func read(args pulumi.MockResourceArgs) (Resource, error) {
	r := Resource{Type: args.TypeToken, Name: args.Name, Custom: args.Custom, Inputs: args.Inputs}
	rpc := args.RegisterRPC
	if rpc == nil {
		return r, nil
	}
	// The mock's own inputs lack what is unknown in a preview.
	inputs, err := plugin.UnmarshalProperties(rpc.GetObject(), plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true,
	})
	if err != nil {
		return Resource{}, fmt.Errorf("reading the inputs of %q: %w", args.Name, err)
	}
	r.Inputs = inputs
	if parent := resource.URN(rpc.GetParent()); parent != "" && parent.Type() != resource.RootStackType {
		r.Parent = parent.Name()
	}
	for _, urn := range rpc.GetDependencies() {
		r.DependsOn = append(r.DependsOn, resource.URN(urn).Name())
	}
	slices.Sort(r.DependsOn)
	r.DependsOn = slices.Compact(r.DependsOn)
	r.IgnoreChanges = rpc.GetIgnoreChanges()
	r.Protect = rpc.GetProtect()
	r.Retain = rpc.GetRetainOnDelete()
	r.Import = rpc.GetImportId()
	r.ReplaceOnChanges = rpc.GetReplaceOnChanges()
	r.Gates = rpc.GetHooks().GetBeforeCreate()
	r.UpdateGates = rpc.GetHooks().GetBeforeUpdate()
	r.Provider = providerName(rpc)
	return r, nil
}

// providerName reads "<urn>::<id>".
func providerName(rpc *pulumirpc.RegisterResourceRequest) string {
	ref := rpc.GetProvider()
	if i := strings.LastIndex(ref, "::"); i >= 0 {
		return resource.URN(ref[:i]).Name()
	}
	return ""
}
