package operate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Config says what the cluster is and where it is asked. All is required but
// Certificate, AccessDrift and Clock.
type Config struct {
	// Environment is the stack's name, and the tag of its services in Consul.
	Environment string
	// Datacenter is part of the names that EMQX gives its nodes.
	Datacenter string
	// Count is how many nodes the stack wants.
	Count  int
	Nomad  gates.NomadClient
	Consul gates.ConsulClient
	// Formed (G2) and Proxies (G3) are the stack's conditions, asked once by a look at
	// the cluster.
	Formed, Proxies gates.Gate
	// RoundTrip describes G5, which a look asks once where it is told to; without
	// listeners there is none.
	RoundTrip gates.RoundTripArgs
	// Verification are the gates at the end of an update, as patient as there.
	Verification []gates.Gate
	// ListenersScript asks a broker's own listeners, see [gates.AskListeners]; empty asks
	// none.
	ListenersScript string
	// Proxy is what stands on each node in front of its broker.
	Proxy ProxyConfig
	// DrainRate is the stack's own pace of moving clients, per second; 0 is none.
	DrainRate int
	// Certificate is the one of the stack's chain that ends first; nil where the stack has none, or it cannot be read here.
	Certificate *x509.Certificate
	// DevicesConfig says what devices there may be; none: every question about them is refused.
	DevicesConfig DevicesConfig
	// AccessDrift tells what somebody else has changed in EMQX of who may connect, see
	// [gates.AccessDrift]; nil asks nothing. LeavesDrift: no update puts it right.
	AccessDrift func(context.Context) (string, error)
	LeavesDrift bool
	// Outside looks at a certificate that comes from outside the stack, in the place of Certificate; nil where none does.
	Outside *Outside
	// Further are the same of the further certificates, nil for one that cannot be read here.
	Further []*x509.Certificate
	// ClientAuthorities are the authorities of clients' certificates, those of tls.clientCa as the one that ends first, by
	// their settings.
	ClientAuthorities map[string]*x509.Certificate
	// Clock is for tests; default the system's.
	Clock gates.Clock
}

// ProxyConfig says where the proxies are.
type ProxyConfig struct {
	// Title is what people call one, Job the id of their job in Nomad, and Service their name in Consul's catalog.
	Title, Job, Service string
}

// Cluster is a cluster that can be worked on.
type Cluster struct {
	Config
	// Nodes are those that the stack wants, by index.
	Nodes []cluster.Node
	// BrokerJob is the id of EMQX's job in Nomad.
	BrokerJob string
}

// Member is the name that EMQX gives itself on node i.
func (c *Cluster) Member(i int) string { return cluster.EMQXName(c.Nodes[i].Name, c.Datacenter) }

// askTimeout bounds a command on one node: `emqx ctl` starts an Erlang machine of its
// own, 1.1 s of processor time, which takes many seconds on a busy node.
const askTimeout = 30 * time.Second

// New checks what it is given. Nothing is asked yet.
func New(c Config) (*Cluster, error) {
	var faults []error
	fault := func(missing bool, what string) {
		if missing {
			faults = append(faults, errors.New(what+" is missing"))
		}
	}
	fault(c.Environment == "", "the environment")
	fault(c.Datacenter == "", "the datacenter")
	fault(c.Count < 1, "the number of nodes")
	fault(c.Proxy == ProxyConfig{}, "the proxy")
	fault(c.Nomad == nil, "Nomad")
	fault(c.Consul == nil, "Consul")
	if len(faults) > 0 {
		return nil, fmt.Errorf("opening the cluster: %w", errors.Join(faults...))
	}
	if c.Clock == nil {
		c.Clock = gates.SystemClock()
	}
	return &Cluster{
		Config: c, Nodes: cluster.NamedNodes(c.Environment, c.Count),
		BrokerJob: cluster.EMQXJobID(c.Environment),
	}, nil
}
