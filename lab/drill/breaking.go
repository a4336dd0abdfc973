package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/lab/faults"
)

// patience is that of a client whose broker asks nobody that is silent.
const patience = 5 * time.Second

// How long a client waits while a broker is silent, from the sources of EMQX 5.8; none of it is a setting.
const (
	// lockWait is MC_TIMEOUT of ekka_locker: for the lock on the client's name when it is taken, and again when it is given back.
	lockWait = 30 * time.Second
	// takeoverWait is twice T_TAKEOVER of emqx_cm: for a session on the silent broker.
	takeoverWait = 30 * time.Second
	// newWait is the most that a client with a new name waits, heldFor the longest that one attempt to connect keeps the name
	// for itself, also when the client has given up.
	newWait, heldFor = 2 * lockWait, 2*lockWait + takeoverWait
	// silentPatience is that of the clients that keep count: shorter than all of these, as that of most is.
	silentPatience = 20 * time.Second
	// afterSilence is for an attempt that began in the last moment of the silence, the pause of the client and its next attempt.
	afterSilence = heldFor + 10*time.Second + silentPatience
)

// fault reads what is typed after `emqx-oci lab fault`.
func fault(line string) faults.Fault {
	words := strings.Fields(line)
	return faults.Fault{Name: words[0], Target: words[1:]}
}

// Breaking are the scenarios in which something goes wrong.
func Breaking() []Scenario {
	return slices.Concat(breakingNodes(), breakingNetworks(), breakingServices())
}

// breakingNodes are what befalls a broker, a HAProxy, an instance or a domain.
func breakingNodes() []Scenario {
	return []Scenario{
		{
			Name: "kill-broker", Does: "SIGKILL to the broker of node 1", Promise: OthersSessions, Runs: 3,
			Work: killBroker,
		},
		{
			Name: "kill-haproxy", Does: "SIGKILL to HAProxy of node 1", Promise: All, Runs: 3,
			Work: killProxy,
		},
		{
			Name: "freeze-broker", Does: "the broker of node 1 stops for 80 s", Promise: StaysConnected, ConnectTimeout: silentPatience, Calm: afterSilence,
			Limit: 7 * time.Minute, Work: freezeBroker,
		},
		{
			Name: "freeze-haproxy", Does: "HAProxy of node 1 stops for 20 s", Promise: All,
			Work: func(ctx context.Context, r *Run) error {
				return r.lasting(ctx, fault("freeze-haproxy 1"), 20*time.Second, r.turnedAway(1), r.elsewhere())
			},
		},
		{
			Name: "stop-instance", Does: "node 1 is switched off, and on again after 20 s", Promise: OthersSessions,
			Work: func(ctx context.Context, r *Run) error {
				down, err := r.markedDown(ctx, 2)
				if err != nil {
					return err
				}
				return r.lasting(ctx, fault("stop-instance 1"), 20*time.Second, down, r.turnedAway(1), r.elsewhere())
			},
		},
		{
			Name: "terminate-instance", Does: "the instance of node 1 ends, its pool launches another", Promise: OthersSessions,
			Work: terminate,
		},
		{
			Name: "lose-domain", Does: "availability domain 3 (node 2) is away for 20 s", Promise: OthersSessions,
			Work: func(ctx context.Context, r *Run) error {
				back, err := r.relaunched(ctx, 2)
				if err != nil {
					return err
				}
				if err := r.lasting(ctx, fault("lose-domain AD-3"), 20*time.Second, r.turnedAway(2), r.elsewhere()); err != nil {
					return err
				}
				r.see(ctx, back...)
				return nil
			},
		},
	}
}

// breakingNetworks are nodes that do not reach each other.
func breakingNetworks() []Scenario {
	return []Scenario{
		{
			Name: "cut-nodes", Does: "nodes 0 and 2 do not reach each other for 20 s", Promise: OneSide, ConnectTimeout: silentPatience,
			Calm: afterSilence, Limit: 7 * time.Minute, Work: cutOff(fault("cut-nodes 0 2")),
		},
		{
			Name: "isolate", Does: "node 0 does not reach the others for 20 s; servers and clients reach it", Promise: OneSide, ConnectTimeout: silentPatience,
			Calm: afterSilence, Limit: 7 * time.Minute, Work: cutOff(fault("isolate 0")),
		},
		{
			Name: "split", Does: "node 0 does not reach the others for 3 min: each side calls the other one dead", Promise: OneSide, ConnectTimeout: silentPatience,
			Limit: 10 * time.Minute, Work: split,
		},
	}
}

// breakingServices are what the nodes lean on: Consul, Nomad, volumes, OCI's API, power.
func breakingServices() []Scenario {
	return []Scenario{
		{
			Name: "cut-consul", Does: "node 1 does not reach Consul's servers for 20 s", Promise: All,
			Work: untouchedDuring(fault("cut-consul 1")),
		},
		{
			Name: "cut-nomad", Does: "node 1 does not reach Nomad's servers for 20 s", Promise: All,
			Work: untouchedDuring(fault("cut-nomad 1")),
		},
		{
			Name: "stop-consul", Does: "Consul's servers are away for 20 s", Promise: All,
			Work: untouchedDuring(fault("stop-servers consul")),
		},
		{
			Name: "stop-nomad", Does: "Nomad's servers are away for 20 s", Promise: All,
			Work: untouchedDuring(fault("stop-servers nomad")),
		},
		{
			Name: "fill-disk", Does: "the volume of node 1 is full for 15 s", Promise: All,
			Work: untouchedDuring(fault("fill-disk 1")),
		},
		{
			Name: "detach-volume", Does: "the volume of node 2 is pulled, and attached again with a restart of the instance", Promise: OthersSessions,
			Work: func(ctx context.Context, r *Run) error {
				return r.lasting(ctx, fault("detach-volume 2"), 5*time.Second)
			},
		},
		{
			Name: "slow-api", Does: "`up` with changes of the balancer, each call 1 s slower", Promise: All,
			Work: underFault(fault("slow-api 1s")),
		},
		{
			Name: "failing-api", Does: "`up` with changes of the balancer, half of its calls fail with 429", Promise: All,
			Work: underFault(faults.Fault{Name: "fail-api", Target: []string{"429"}, Rate: 0.5}),
		},
		{
			Name: "power-cut", Does: "all instances are switched off at once, and on again after 5 s", Promise: OthersSessions, Limit: 7 * time.Minute,
			Work: powerCut,
		},
	}
}

// lasting breaks something, looks at what follows, and repairs it after its time.
func (r *Run) lasting(ctx context.Context, f faults.Fault, lasts time.Duration, sights ...sight) error {
	until := time.Now().Add(lasts)
	if err := r.do(ctx, f); err != nil {
		return err
	}
	r.see(ctx, sights...)
	if err := pause(ctx, time.Until(until)); err != nil {
		return err
	}
	return r.undo(ctx, f)
}

// untouchedDuring is for faults that no broker may notice by more than a line in its log.
func untouchedDuring(f faults.Fault) func(context.Context, *Run) error {
	return func(ctx context.Context, r *Run) error {
		was, err := r.identities(ctx, brokerJob, brokerTask)
		if err != nil {
			return err
		}
		if err := r.lasting(ctx, f, 20*time.Second, r.elsewhere()); err != nil {
			return err
		}
		if err := r.whole(ctx, r.nodes, settleTime); err != nil {
			return err
		}
		r.untouched(ctx, was)
		return nil
	}
}

// cutOff cuts members from each other, for less than node.dist_net_ticktime: none is given up, each waits for the others. Some
// new clients need nobody on the other side. After the cut the brokers' connections send again within as long as it lasted:
// TCP doubles its pauses.
func cutOff(f faults.Fault) func(context.Context, *Run) error {
	const lasts = 20 * time.Second
	return func(ctx context.Context, r *Run) error {
		was, err := r.identities(ctx, brokerJob, brokerTask)
		if err != nil {
			return err
		}
		if err := r.lasting(ctx, f, lasts, r.served(1, patience, lasts)); err != nil {
			return err
		}
		r.see(ctx, r.served(10, patience, lasts+2*patience))
		if err := r.whole(ctx, r.nodes, settleTime); err != nil {
			return err
		}
		r.untouched(ctx, was)
		return nil
	}
}

// split lasts longer than node.dist_net_ticktime. Then nobody waits for anybody, and each side serves alone; when the other one
// answers again, the smaller side restarts all but its process, and loads from the larger one: EMQX's autoheal, 18 s after it
// has noticed.
func split(ctx context.Context, r *Run) error {
	const lasts = 3 * time.Minute
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	alone, others := r.counts(0, 0), r.counts(1, 1, 2)
	alone.what, others.what = "the node counts nobody in but itself", "the others count it out"
	if err := r.lasting(ctx, fault("isolate 0"), lasts, alone, others, r.served(10, patience, lasts)); err != nil {
		return err
	}
	all := r.counts(0, 0, 1, 2)
	all.what = "the node has restarted, and counts the others in"
	r.see(ctx, all)
	r.untouched(ctx, was) // for Nomad: the process stays
	return nil
}

// frozenFor is enough for newWait and for all HAProxies to notice, and less than the 90 s after which a member may be called dead.
const frozenFor = 80 * time.Second

// freezeBroker lasts until who had to wait as long as can be has been served.
func freezeBroker(ctx context.Context, r *Run) error {
	down, err := r.markedDown(ctx, 2)
	if err != nil {
		return err
	}
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	until := time.Now().Add(frozenFor)
	if err := r.do(ctx, fault("freeze-broker 1")); err != nil {
		return err
	}
	r.see(ctx, down, r.outOfConsul(1))
	r.see(ctx, r.served(1, patience, 20*time.Second)) // by then all HAProxies have marked it down
	r.see(ctx, r.served(10, newWait+patience, newWait+patience))
	if err := pause(ctx, time.Until(until)); err != nil {
		return err
	}
	if err := r.undo(ctx, fault("freeze-broker 1")); err != nil {
		return err
	}
	again := r.served(10, patience, 4*patience)
	again.what = "after it, ten new clients are served at once"
	r.see(ctx, again)
	r.untouched(ctx, was)
	return nil
}

func killBroker(ctx context.Context, r *Run) error {
	down, err := r.markedDown(ctx, 2)
	if err != nil {
		return err
	}
	again, err := r.restarted(ctx, brokerJob, brokerTask, 1)
	if err != nil {
		return err
	}
	if err := r.do(ctx, fault("kill-broker 1")); err != nil {
		return err
	}
	r.see(ctx, down, r.outOfConsul(1), r.elsewhere(), again)
	up, err := r.markedDown(ctx, 3)
	if err != nil {
		return err
	}
	// A real EMQX takes 5 s to start on an idle node, the stand-in none.
	up.what, up.limit = "HAProxy on another node has it again", time.Minute
	r.see(ctx, up)
	return nil
}

func killProxy(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	again, err := r.restarted(ctx, proxyJob, "haproxy", 1)
	if err != nil {
		return err
	}
	if err := r.do(ctx, fault("kill-haproxy 1")); err != nil {
		return err
	}
	r.see(ctx, again, r.elsewhere())
	r.untouched(ctx, was)
	return nil
}

func terminate(ctx context.Context, r *Run) error {
	down, err := r.markedDown(ctx, 2)
	if err != nil {
		return err
	}
	back, err := r.relaunched(ctx, 1)
	if err != nil {
		return err
	}
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	if err := r.do(ctx, fault("terminate-instance 1")); err != nil {
		return err
	}
	r.see(ctx, append(back, down, r.turnedAway(1), r.elsewhere())...)
	r.untouched(ctx, was, 1)
	return nil
}

func powerCut(ctx context.Context, r *Run) error {
	each := func(f func(context.Context, faults.Fault) error) error {
		all, ctx := errgroup.WithContext(ctx)
		for i := range r.nodes {
			all.Go(func() error { return f(ctx, fault(fmt.Sprintf("stop-instance %d", i))) })
		}
		return all.Wait()
	}
	if err := each(r.do); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	err := each(func(ctx context.Context, f faults.Fault) error { return faults.Undo(ctx, r.faults, f) })
	r.mended()
	return err
}

// underFault makes an update that changes the balancer's backend sets while the cloud's API is sick. An update that fails
// is run again, as the runbook says.
func underFault(f faults.Fault) func(context.Context, *Run) error {
	return func(ctx context.Context, r *Run) error {
		was, err := r.identities(ctx, brokerJob, brokerTask)
		if err != nil {
			return err
		}
		if err := r.do(ctx, f); err != nil {
			return err
		}
		if err := r.toggle("edge", "healthRetries", 2, 3); err != nil {
			return err
		}
		o, err := r.Call(ctx, "up", stack, "--yes")
		if err != nil {
			return err
		}
		if err := r.undo(ctx, f); err != nil {
			return err
		}
		if o.Code != 0 {
			r.say("  the update failed, and is run again")
			if err := r.Must(ctx, "up", stack, "--yes"); err != nil {
				return err
			}
		}
		r.untouched(ctx, was)
		return nil
	}
}
