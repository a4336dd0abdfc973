package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab"
)

// Images of EMQX that a roll changes between, and one that the lab makes without EMQX in it: no registry has it.
const (
	imageOne   = "emqx/emqx:5.8.9"
	imageOther = "emqx/emqx:5.8.8"
	imageWrong = "emqx/emqx:5.8.999"
)

// Working are the scenarios in which somebody does something.
func Working() []Scenario {
	return []Scenario{
		{Name: "roll", Does: "another image of EMQX, node after node", Promise: All, Limit: 10 * time.Minute, Work: roll},
		{Name: "broken-image", Does: "an image without EMQX: it stops at the first node, and goes back", Promise: OthersSessions, Limit: 9 * time.Minute, Work: brokenImage},
		{Name: "node-drain", Does: "`nomad node drain` of node 1, and back", Promise: All, Work: nodeDrain},
		{Name: "haproxy-roll", Does: "another setting of HAProxy, node after node", Promise: All, Work: proxyRoll},
		{Name: "haproxy-reload", Does: "another password of HAProxy's statistics", Promise: All, Work: proxyReload},
		{Name: "scale", Does: "three nodes, five, a rebalance, and three again", Promise: All, Limit: 10 * time.Minute, Work: scale},
		{Name: "kill-up", Does: "`up` of another image is killed with SIGKILL, and run again", Promise: All, Work: killUp},
		{Name: "stop-start", Does: "`nomad job stop` and `start` of all brokers", Promise: BeforeAndAfter, Limit: 7 * time.Minute, Work: stopStart},
	}
}

// fewest looks at a job until f has ended, and returns the smallest number of brokers that ran at a time.
func (r *Run) fewest(ctx context.Context, f func() error) (fewest int, err error) {
	fewest = r.nodes
	watching, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for pause(watching, 200*time.Millisecond) == nil {
			if all, err := r.brokers(watching); err == nil {
				fewest = min(fewest, len(all))
			}
		}
	})
	err = f()
	cancel()
	wg.Wait()
	return fewest, err
}

func (r *Run) oneByOne(ctx context.Context, f func() error) error {
	fewest, err := r.fewest(ctx, f)
	if fewest != r.nodes-1 {
		r.broke("at its fewest %d brokers of %d ran", fewest, r.nodes)
	}
	return err
}

// otherImage has the stack file name another image of EMQX, and the lab know it.
func (r *Run) otherImage(ctx context.Context) error {
	if err := r.toggle("broker", "image", imageOne, imageOther); err != nil || len(r.Images) == 0 {
		return err
	}
	return r.labUp(ctx)
}

func roll(ctx context.Context, r *Run) error {
	if err := r.otherImage(ctx); err != nil {
		return err
	}
	return r.oneByOne(ctx, func() error { return r.Must(ctx, "up", stack, "--yes") })
}

func brokenImage(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	path := filepath.Join(r.Project, stackFile)
	settings, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the drill's stack file: %w", err)
	}
	// What the lab makes of a name of HAProxy's is an image of HAProxy.
	if err := lab.AddImages(ctx, r.Lab, lab.Images{Proxy: []string{imageWrong}}); err != nil {
		return err
	}
	if err := r.set("broker", map[string]any{"image": imageWrong}); err != nil {
		return err
	}
	r.keep = false
	err = r.oneByOne(ctx, func() error {
		o, err := r.Call(ctx, "up", stack, "--yes")
		switch {
		case err != nil:
			return err
		case o.Code != 1:
			r.broke("an update to a broken image ended with %s", o)
		case !strings.Contains(o.Text, "G2") || !strings.Contains(o.Text, "went back"):
			r.broke("the update does not say that Nomad went back: %s", o)
		}
		return nil
	})
	r.untouched(ctx, was, 0)
	if err != nil {
		return err
	}
	// Nomad keeps its verdict over the version that failed: the runbook says to mend the setting, and to update again.
	r.mended()
	if err := os.WriteFile(path, settings, 0o600); err != nil {
		return fmt.Errorf("mending the drill's stack file: %w", err)
	}
	return r.Must(ctx, "up", stack, "--yes")
}

func nodeDrain(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	nodes, err := r.gateNomad.Nodes(ctx)
	if err != nil {
		return err
	}
	id := ""
	for _, n := range nodes {
		if n.Name == nodeName(1) && n.Status == nomad.NodeStatusReady {
			id = n.ID
		}
	}
	if id == "" {
		return errors.New("draining a node: node 1 is not ready in Nomad")
	}
	if err := r.nomadCommand(ctx, "node", "drain", "-enable", "-yes", "-deadline", "3m", id); err != nil {
		return err
	}
	r.see(ctx, r.elsewhere())
	if err := r.nomadCommand(ctx, "node", "eligibility", "-enable", id); err != nil {
		return err
	}
	r.mended()
	if err := r.whole(ctx, r.nodes, settleTime); err != nil {
		return err
	}
	r.untouched(ctx, was, 1)
	return nil
}

func proxyRoll(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	if err := r.toggle("proxy", "maxConn", 1300, 1200); err != nil {
		return err
	}
	if err := r.Must(ctx, "up", stack, "--yes"); err != nil {
		return err
	}
	r.untouched(ctx, was)
	return nil
}

// reloadLimit is for the last node: Nomad writes the file 5 s after a change (its client's template.wait), the script
// looks every second, takes 5 s more for each index, and up to 4 s until HAProxy has loaded it.
const reloadLimit = 30 * time.Second

// proxyReload changes the Nomad variable that the stack writes, as an update with another password does.
func proxyReload(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, proxyJob, "haproxy")
	if err != nil {
		return err
	}
	variables := r.nomadAPI.Variables()
	v, _, err := variables.Read("nomad/jobs/"+proxyJob, (&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("changing the statistics' password: %w", err)
	}
	old, user := v.Items["stats_password"], v.Items["stats_user"]
	now := fmt.Sprintf("drill-%d", r.began.UnixNano())
	sights := make([]sight, r.nodes)
	for i := range sights {
		at, err := r.instance(ctx, i)
		if err != nil {
			return err
		}
		if len(at.Reserved) == 0 {
			return fmt.Errorf("%s has no reserved address", at.Name)
		}
		script := fmt.Sprintf(`curl -fsS -m 2 -o /dev/null -K - http://%s:8080/stats`, at.Reserved[0])
		sights[i] = sight{fmt.Sprintf("HAProxy of node %d takes the new password", i), reloadLimit, func(ctx context.Context) error {
			return r.feed(ctx, nodeName(i), script, fmt.Sprintf("user = %q\n", user+":"+now))
		}}
	}
	write := func(password string) error {
		v.Items["stats_password"] = password
		_, _, err := variables.Update(v, (&nomad.WriteOptions{}).WithContext(ctx))
		if err != nil {
			return fmt.Errorf("changing the statistics' password: %w", err)
		}
		return nil
	}
	if err := write(now); err != nil {
		return err
	}
	r.see(ctx, sights...)
	r.mended()
	after, err := r.identities(ctx, proxyJob, "haproxy")
	if err != nil {
		return err
	}
	for node, id := range was {
		if after[node] != id {
			r.broke("HAProxy of %s was started again", node)
		}
	}
	return write(old)
}

func scale(ctx context.Context, r *Run) error {
	was, err := r.identities(ctx, brokerJob, brokerTask)
	if err != nil {
		return err
	}
	if err := r.set("guards", map[string]any{"allowScaleIn": true, "allowVolumeDelete": true}); err != nil {
		return err
	}
	to := func(count int) error {
		if err := r.set("nodes", map[string]any{"count": count}); err != nil {
			return err
		}
		if err := r.Must(ctx, "up", stack, "--yes"); err != nil {
			return err
		}
		return r.whole(ctx, count, settleTime)
	}
	if err := to(5); err != nil {
		return err
	}
	// Clients that are there stay where they are: without this the nodes that go would have none. 72 clients on five nodes: one
	// is 7 % of the mean, and each HAProxy counts only its own.
	if err := r.Must(ctx, "rebalance", stack, "--yes", "--tolerance", "25"); err != nil {
		return err
	}
	if err := to(3); err != nil {
		return err
	}
	r.untouched(ctx, was)
	return nil
}

// killUp kills an update and all that it started, when it has begun to deploy.
func killUp(ctx context.Context, r *Run) error {
	if err := r.otherImage(ctx); err != nil {
		return err
	}
	return r.oneByOne(ctx, func() error {
		var text bytes.Buffer
		cmd := r.command(ctx, "up", stack, "--yes")
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting an update: %w", err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		begun := sight{what: "Nomad deploys", limit: time.Minute, ask: func(ctx context.Context) error {
			all, err := r.gateNomad.Deployments(ctx, brokerJob)
			if err != nil {
				return err
			}
			for _, d := range all {
				if d.Status == nomad.DeploymentStatusRunning {
					return nil
				}
			}
			return errors.New("no deployment runs")
		}}
		r.see(ctx, begun)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		return r.Must(ctx, "up", stack, "--yes")
	})
}

func stopStart(ctx context.Context, r *Run) error {
	if err := r.nomadCommand(ctx, "job", "stop", "-yes", brokerJob); err != nil {
		return err
	}
	gone := sight{what: "no broker runs", limit: 4 * time.Minute, ask: func(ctx context.Context) error {
		all, err := r.gateNomad.Allocations(ctx, brokerJob)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.ClientStatus == nomad.AllocClientStatusRunning {
				return fmt.Errorf("%s runs", a.Name)
			}
		}
		return nil
	}}
	r.see(ctx, gone)
	err := r.nomadCommand(ctx, "job", "start", "-detach", brokerJob)
	r.mended()
	return err
}
