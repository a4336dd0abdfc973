package operate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// BalancerStatus is what the cloud's balancer thinks of its backends.
type BalancerStatus struct {
	// Backends by listener, then node; none when Error says why.
	Backends []Backend `json:"backends,omitempty"`
	Error    string    `json:"error,omitempty"`
	// Asked is when.
	Asked time.Time `json:"asked,omitzero"`
}

// Backend is one listener's way to one node.
type Backend struct {
	Listener string `json:"listener"`
	Node     string `json:"node"`
	// Health is OCI's: OK, WARNING, CRITICAL, UNKNOWN.
	Health string `json:"health"`
}

// UpdateStatus is the newest operation on the stack that its backend has on record.
type UpdateStatus struct {
	// Kind is update, refresh, destroy or resource-import, "" when there is none;
	// Result is succeeded, failed or in-progress.
	Kind    string    `json:"kind,omitempty"`
	Result  string    `json:"result,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// healthy is a backend that gets new clients.
const healthy = "OK"

// Backends spells out the balancer's answer, which is by "<listener>/<node>".
func Backends(health map[string]string) []Backend {
	all := make([]Backend, 0, len(health))
	for name, state := range health {
		listener, node, _ := strings.Cut(name, "/")
		all = append(all, Backend{Listener: listener, Node: node, Health: state})
	}
	slices.SortFunc(all, func(a, b Backend) int {
		return cmp.Or(strings.Compare(a.Listener, b.Listener), strings.Compare(a.Node, b.Node))
	})
	return all
}

// Summary says in a line how many backends are healthy, and which are not.
func (b BalancerStatus) Summary() string {
	if b.Error != "" {
		return "not known: " + b.Error
	}
	sick := b.sick()
	count := 0
	var parts []string
	for _, s := range sick {
		count += len(s.listeners)
		parts = append(parts, s.String())
	}
	text := fmt.Sprintf("%d of %d backends healthy", len(b.Backends)-count, len(b.Backends))
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	return text
}

// sickBackends are those of one node in one state.
type sickBackends struct {
	node, health string
	listeners    []string
}

func (s sickBackends) String() string {
	return fmt.Sprintf("%s is %s for %s", s.node, s.health, gates.JoinNames(s.listeners))
}

func (b BalancerStatus) sick() (found []sickBackends) {
	for _, x := range b.Backends {
		if x.Health == healthy {
			continue
		}
		at := slices.IndexFunc(found, func(s sickBackends) bool { return s.node == x.Node && s.health == x.Health })
		if at < 0 {
			at, found = len(found), append(found, sickBackends{node: x.Node, health: x.Health})
		}
		found[at].listeners = append(found[at].listeners, x.Listener)
	}
	slices.SortStableFunc(found, func(a, b sickBackends) int { return strings.Compare(a.node, b.node) })
	return found
}

// balancer tells of backends that are sick although their proxy is well: else the
// proxy is what is the matter.
func (d *diagnosis) balancer() {
	if d.status.Balancer == nil {
		return
	}
	for _, s := range d.status.Balancer.sick() {
		i := slices.IndexFunc(d.status.Nodes, func(n NodeStatus) bool { return n.Name == s.node })
		if i >= 0 && d.status.Nodes[i].Check == consul.HealthPassing && d.status.Nodes[i].Nomad == nomad.NodeStatusReady {
			d.add("the balancer sends no new clients to "+s.node+", whose "+d.Proxy.Title+" is well: "+s.health+" for "+gates.JoinNames(s.listeners),
				"whether the node's firewall admits the balancer to the health page; after a repair it takes some checks")
		}
	}
}
