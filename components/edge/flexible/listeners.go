package flexible

import (
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/loadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const listenersType = "emqx:oci:FlexibleListeners"

// ListenersArgs describe the doors of a balancer.
type ListenersArgs struct {
	// Required.

	// Balancer carries the listeners and has a backend set for each.
	Balancer *LoadBalancer
	// Listeners to open.
	Listeners []cluster.Listener
	// IdleTimeoutSeconds after which the balancer closes a silent connection: at least 1.5
	// times the largest keep-alive, see [cluster.IdleTimeout].
	IdleTimeoutSeconds int

	// Optional.

	// ChildOptions go to every listener itself: hooks and dependencies of a
	// component do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// Listeners open a balancer to clients. They are a component of their own
// because they wait until the proxies are ready, and the balancer does not.
//
//	listeners, err := flexible.NewListeners(ctx, "listeners", &flexible.ListenersArgs{
//		Balancer:           balancer,
//		Listeners:          cluster.Listeners(cluster.DefaultPorts, true),
//		IdleTimeoutSeconds: cluster.IdleTimeout(600),
//		ChildOptions:       []pulumi.ResourceOption{pulumi.DependsOn(proxies.Each)},
//	})
type Listeners struct {
	pulumi.ResourceState

	// Each are the listeners, for others to depend on.
	Each []pulumi.Resource
}

// NewListeners registers the listeners; every fault of args is reported before anything is.
func NewListeners(ctx *pulumi.Context, name string, args *ListenersArgs, opts ...pulumi.ResourceOption) (*Listeners, error) {
	a := ListenersArgs{}
	if args != nil {
		a = *args
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating listeners %q: %w", name, err)
	}
	r := &Listeners{}
	if err := ctx.RegisterComponentResource(listenersType, name, r, opts...); err != nil {
		return nil, err
	}
	for _, l := range a.Listeners {
		// A set without backends has nobody to send a client to.
		childOpts := append([]pulumi.ResourceOption{pulumi.Parent(r), pulumi.DependsOn(a.Balancer.backends[l.Name])}, a.ChildOptions...)
		open := &loadbalancer.ListenerArgs{
			LoadBalancerId:        a.Balancer.ID,
			DefaultBackendSetName: a.Balancer.sets[l.Name].Name,
			Name:                  pulumi.String(l.Name),
			Port:                  pulumi.Int(l.Port),
			Protocol:              pulumi.String("TCP"),
			ConnectionConfiguration: loadbalancer.ListenerConnectionConfigurationArgs{
				IdleTimeoutInSeconds: pulumi.String(strconv.Itoa(a.IdleTimeoutSeconds)),
				// Else the proxies would take the balancer for all clients.
				BackendTcpProxyProtocolVersion: pulumi.Int(2),
			},
		}
		if l.TLS && a.Balancer.tls != nil {
			open.SslConfiguration = a.Balancer.tls
		}
		listener, err := loadbalancer.NewListener(ctx, name+"-"+l.Name, open, childOpts...)
		if err != nil {
			return nil, fmt.Errorf("creating listener %q: %w", l.Name, err)
		}
		r.Each = append(r.Each, listener)
	}
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{})
}

func (a *ListenersArgs) validate() error {
	var f fault.List
	if a.Balancer == nil {
		f.Add("balancer", "must be set")
	}
	if len(a.Listeners) == 0 {
		f.Add("listeners", "must hold at least one listener")
	}
	for i, l := range a.Listeners {
		if a.Balancer != nil && a.Balancer.sets[l.Name] == nil {
			f.Add(fmt.Sprintf("listeners[%d]", i), "must be one of the balancer's backend sets, got %q", l.Name)
		}
	}
	f.Range("idleTimeoutSeconds", a.IdleTimeoutSeconds, 1, limits.MaxIdleTimeout)
	return f.Err()
}
