package operate

import (
	"errors"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Node is one member of the cluster.
type Node struct {
	// Name is the node in OCI, Consul and Nomad: "emqx-prod-0".
	Name string
	// Member is the name that EMQX gives itself: "emqx@emqx-prod-0.node.dc1.consul".
	Member string
}

// Config says what the cluster is and where it is asked. All is required but
// Clock.
type Config struct {
	// Environment is the stack's name, and the tag of its services in Consul.
	Environment string
	// BrokerJob and ProxyJob are the ids of the two jobs in Nomad.
	BrokerJob, ProxyJob string
	// Nodes are the members that the stack wants, by index.
	Nodes  []Node
	Nomad  gates.NomadClient
	Consul gates.ConsulClient
	// Formed (G2), Proxies (G3) and RoundTrip (G5) are the stack's conditions, asked
	// once by a look at the cluster.
	Formed, Proxies, RoundTrip gates.Gate
	// Verification are the gates at the end of an update, as patient as there.
	Verification []gates.Gate
	// ListenersScript asks a broker's own listeners, see [gates.AskListeners]; empty asks
	// none.
	ListenersScript string
	// DrainRate is the stack's own pace of moving clients, per second; 0 is none.
	DrainRate int
	// Clock is for tests; default the system's.
	Clock gates.Clock
}

// Cluster is a cluster that can be worked on.
type Cluster struct {
	Config
}

// brokerTask is the task of the EMQX job.
const brokerTask = "emqx"

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
	fault(c.BrokerJob == "", "the EMQX job's id")
	fault(c.ProxyJob == "", "the HAProxy job's id")
	fault(len(c.Nodes) == 0, "the list of nodes")
	fault(c.Nomad == nil, "Nomad")
	fault(c.Consul == nil, "Consul")
	if len(faults) > 0 {
		return nil, fmt.Errorf("opening the cluster: %w", errors.Join(faults...))
	}
	if c.Clock == nil {
		c.Clock = gates.SystemClock()
	}
	return &Cluster{Config: c}, nil
}
