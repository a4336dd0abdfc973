package nlb

import (
	"fmt"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const listenersType = "emqx:oci:Listeners"

// ListenersArgs describe the doors of a balancer.
type ListenersArgs struct {
	// Required.

	// Balancer carries the listeners and has a backend set for each.
	Balancer *LoadBalancer
	// Listeners to open.
	Listeners []cluster.Listener
	// IdleTimeoutSeconds after which the balancer forgets a silent connection:
	// at least 1.5 times the largest keep-alive, see [cluster.IdleTimeout].
	IdleTimeoutSeconds int

	// Optional.

	// ChildOptions go to every listener itself: hooks and dependencies of a
	// component do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// Listeners open a balancer to clients. They are a component of their own
// because they wait until the proxies are ready, and the balancer does not.
//
//	listeners, err := oci.NewListeners(ctx, "listeners", &nlb.ListenersArgs{
//		Balancer:           balancer,
//		Listeners:          cluster.Listeners(cluster.DefaultPorts, true),
//		IdleTimeoutSeconds: cluster.IdleTimeout(600),
//		ChildOptions:       []pulumi.ResourceOption{pulumi.DependsOn(proxies.Each)},
//	})
type Listeners struct {
	pulumi.ResourceState

	// Each are the listeners, for others to depend on: see [Volumes].
	Each []pulumi.Resource
}

// NewListeners registers the listeners, one after another behind everything the
// balancer already has; every fault of args is reported before anything is.
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
		childOpts := append([]pulumi.ResourceOption{pulumi.Parent(r), a.Balancer.next(l)}, a.ChildOptions...)
		listener, err := networkloadbalancer.NewListener(ctx, name+"-"+l.Name, &networkloadbalancer.ListenerArgs{
			NetworkLoadBalancerId: a.Balancer.ID,
			DefaultBackendSetName: a.Balancer.sets[l.Name].Name,
			Name:                  pulumi.String(l.Name),
			Port:                  pulumi.Int(l.Port),
			Protocol:              pulumi.String("TCP"),
			TcpIdleTimeout:        pulumi.Int(a.IdleTimeoutSeconds),
		}, childOpts...)
		if err != nil {
			return nil, fmt.Errorf("creating listener %q: %w", l.Name, err)
		}
		a.Balancer.add(l, listener)
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
