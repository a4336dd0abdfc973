package gates

import (
	"context"
	"fmt"
	"slices"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// ProxiesReadyArgs describe gate G3.
type ProxiesReadyArgs struct {
	// Service is the Consul service; Environment its tag.
	Service, Environment string
	// Count is the number of nodes that must have a passing instance.
	Count int
	// Nomad and Job, when given, make the gate also ask for the deployment of
	// the proxies' job's current version. Without them the instances of the
	// version before pass for the new one until Nomad has begun to replace them.
	// Text is what the job is to be, as in [ClusterFormedArgs].
	Nomad NomadClient
	Job   string
	Text  JobText
	// Next is what to look at when one is not ready.
	Next string
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// ProxiesReady is gate G3: Count nodes have an instance of the proxy that passes
// its health check, which itself fails when no broker is up.
func ProxiesReady(client ConsulClient, args ProxiesReadyArgs) Gate {
	jobs := newJobWatch(args.Nomad, args.Job, args.Count, args.Text)
	return Gate{
		ID: "G3", Title: "proxies ready", Timeout: args.Timeout, Interval: args.Interval,
		Next: args.Next,
		Check: func(ctx context.Context) (Status, error) {
			if args.Nomad != nil && args.Job != "" {
				deployed, _, err := jobs.check(ctx)
				if err != nil || !deployed.Holds {
					return deployed, err
				}
			}
			entries, err := client.Service(ctx, args.Service, args.Environment)
			if err != nil {
				return Status{}, err
			}
			return proxiesReady(args, entries), nil
		},
	}
}

func proxiesReady(args ProxiesReadyArgs, entries []*consul.ServiceEntry) Status {
	passing := map[string]bool{}
	for _, e := range entries {
		if e.Checks.AggregatedStatus() == consul.HealthPassing {
			passing[e.Node.Node] = true
		}
	}
	if n := len(passing); n >= args.Count {
		return Status{Holds: true, Seen: fmt.Sprintf("%d/%d proxies pass", n, args.Count)}
	}
	seen := fmt.Sprintf("%d/%d proxies pass", len(passing), args.Count)
	if len(entries) == 0 {
		return Status{Seen: fmt.Sprintf("%s: no service %s with tag %s in Consul", seen, args.Service, args.Environment)}
	}
	var problems []string
	for _, e := range entries {
		if passing[e.Node.Node] {
			continue
		}
		for _, c := range e.Checks {
			if c.Status != consul.HealthPassing {
				problems = append(problems, checkProblem(e.Node.Node, c))
			}
		}
	}
	slices.Sort(problems)
	if len(problems) == 0 {
		return Status{Seen: fmt.Sprintf("%s: only %d instances of %s registered in Consul", seen, len(entries), args.Service)}
	}
	return Status{Seen: seen + ": " + joinSome(problems)}
}

// checkProblem is one check that does not pass. One that was not made yet has no output.
func checkProblem(node string, c *consul.HealthCheck) string {
	said := OneLine(c.Output)
	if said == "" {
		said = "no result yet"
	}
	return fmt.Sprintf("%s is %s: %s: %s", node, c.Status, c.Name, said)
}
