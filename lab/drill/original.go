package drill

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab"
)

// Original are the scenarios for which the figures of the setup that this project replaces make a difference. Nothing is
// promised of them.
func Original() []Scenario {
	var out []Scenario
	for _, s := range Breaking() {
		work := map[string]func(context.Context, *Run) error{
			"kill-broker": plainly("kill-broker 1"), "kill-haproxy": plainly("kill-haproxy 1"), "terminate-instance": plainly("terminate-instance 1"),
			"freeze-broker": func(ctx context.Context, r *Run) error {
				return r.lasting(ctx, fault("freeze-broker 1"), frozenFor)
			},
		}[s.Name]
		if work != nil {
			s.Promise, s.Work, s.Limit = None, work, 8*time.Minute
			out = append(out, s)
		}
	}
	return append(out, Scenario{
		Name: "roll", Does: "another image of EMQX: one group for each node, and Nomad updates all groups at once", Promise: None,
		Limit: 8 * time.Minute, Work: originalRoll,
	})
}

// plainly breaks something and looks at nothing, but waits until it must have been noticed.
func plainly(line string) func(context.Context, *Run) error {
	return func(ctx context.Context, r *Run) error {
		if err := r.do(ctx, fault(line)); err != nil {
			return err
		}
		return pause(ctx, 15*time.Second)
	}
}

// Originalise registers both jobs again with the original's figures, and gives the balancer its own: a health check every
// 10 s, 3 s for an answer, 3 in a row.
func (d *Drill) Originalise(ctx context.Context) error {
	r := &Run{Drill: d}
	if err := r.set("edge", map[string]any{"healthInterval": "10s", "healthTimeout": "3s", "healthRetries": 3}); err != nil {
		return err
	}
	if err := d.Must(ctx, "up", stack, "--yes"); err != nil {
		return err
	}
	for job, change := range map[string]func(*nomad.Job) error{brokerJob: originalBroker, proxyJob: originalProxy} {
		if err := d.reregister(ctx, job, change); err != nil {
			return err
		}
	}
	return d.whole(ctx, d.nodes, settleTime)
}

func (d *Drill) reregister(ctx context.Context, id string, change func(*nomad.Job) error) error {
	job, _, err := d.nomadAPI.Jobs().Info(id, (&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("reading job %s: %w", id, err)
	}
	if err := change(job); err != nil {
		return fmt.Errorf("changing job %s: %w", id, err)
	}
	if _, _, err := d.nomadAPI.Jobs().Register(job, (&nomad.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("registering job %s: %w", id, err)
	}
	return nil
}

// originalBroker makes one group for each node, without a delay before the stop, with Nomad's own 5 s until the kill, and
// without the script that takes part in the stop.
func originalBroker(job *nomad.Job) error {
	if len(job.TaskGroups) != 1 {
		return errors.New("it has more than one group")
	}
	one := job.TaskGroups[0]
	nodes := *one.Count
	job.TaskGroups = nil
	for i := range nodes {
		g := *one
		name, count := fmt.Sprintf("emqx-%d", i), 1
		g.Name, g.Count, g.ShutdownDelay = &name, &count, nil
		g.Volumes = map[string]*nomad.VolumeRequest{}
		for label, v := range one.Volumes {
			own := *v
			own.Source, own.PerAlloc = fmt.Sprintf("%s[%d]", v.Source, i), false
			g.Volumes[label] = &own
		}
		t := *one.Tasks[0]
		kill := 5 * time.Second
		t.KillTimeout = &kill
		t.Config = map[string]any{}
		for k, v := range one.Tasks[0].Config {
			t.Config[k] = v
		}
		t.Config["entrypoint"], t.Config["args"] = []string{"/opt/emqx/bin/emqx"}, []string{"foreground"}
		g.Tasks = []*nomad.Task{&t}
		job.TaskGroups = append(job.TaskGroups, &g)
	}
	return nil
}

// Of HAProxy's configuration.
var (
	checkFigures = regexp.MustCompile(`inter \S+ fastinter \S+ downinter \S+ fall \d+ rise \d+`)
	markedDown   = regexp.MustCompile(` on-marked-down \S+`)
	silence      = regexp.MustCompile(`(?m)^(\s*timeout (client|server)) \{\{ \$idle \}\}$`)
	keepAlive    = regexp.MustCompile(`(?m)^\s*option (srvtcpka|clitcpka)\n|^\s*(srvtcpka|clitcpka)-\w+ .*\n`)
	userTimeout  = regexp.MustCompile(` tcp-ut \S+`)
)

// originalProxy checks every 10 s, down after 3 and up after 5, lets a connection be silent for 3 min, notices a dead host
// by nothing else, and stops at once.
func originalProxy(job *nomad.Job) error {
	changed := false
	for _, g := range job.TaskGroups {
		for _, t := range g.Tasks {
			kill := 5 * time.Second
			t.KillTimeout, t.KillSignal = &kill, "SIGTERM"
			for _, tmpl := range t.Templates {
				text := *tmpl.EmbeddedTmpl
				if !checkFigures.MatchString(text) {
					continue
				}
				text = checkFigures.ReplaceAllString(text, "inter 10s fall 3 rise 5")
				text = markedDown.ReplaceAllString(text, "")
				text = silence.ReplaceAllString(text, "$1 3m")
				text = keepAlive.ReplaceAllString(text, "")
				text = userTimeout.ReplaceAllString(text, "")
				tmpl.EmbeddedTmpl = &text
				changed = true
			}
		}
	}
	if !changed {
		return errors.New("its configuration has no checks of the expected form")
	}
	return nil
}

// originalRoll changes the image of all groups.
func originalRoll(ctx context.Context, r *Run) error {
	if err := lab.AddImages(ctx, r.Lab, lab.Images{Broker: []string{imageOther}}); err != nil {
		return err
	}
	var image any
	err := r.reregister(ctx, brokerJob, func(job *nomad.Job) error {
		for _, g := range job.TaskGroups {
			image = imageOther
			if g.Tasks[0].Config["image"] == image {
				image = imageOne
			}
			g.Tasks[0].Config["image"] = image
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.say("  all groups get %v", image)
	return pause(ctx, 15*time.Second)
}
