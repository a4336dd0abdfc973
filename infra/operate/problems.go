package operate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// problems are what is the matter, the cause before what follows from it.
func (c *Cluster) problems(s *Status, l *look) []Problem {
	d := &diagnosis{Cluster: c, status: s, look: l, found: []Problem{}}
	d.servers()
	d.nodes()
	d.jobs()
	before := len(d.found)
	d.waiting()
	d.tasks()
	d.closed()
	d.views()
	if l.nomadErr == nil && l.broker.err == nil && !l.formed.holds && l.formed.asked && len(d.found) == before && !d.explained {
		d.add(l.formed.seen, l.formed.next)
	}
	d.checks()
	d.balancer()
	if l.trip.asked && !l.trip.holds {
		d.add("no message came back through the public name: "+l.trip.seen, l.trip.next)
	}
	d.outside()
	d.certificates()
	if s.AccessDrift != "" && !c.LeavesDrift {
		d.add("somebody has changed in EMQX who may connect or what they may do: "+s.AccessDrift, "`emqx-oci up "+c.Environment+"` puts it right")
	}
	return d.found
}

type diagnosis struct {
	*Cluster
	status *Status
	look   *look
	found  []Problem
	// explained: a stopped job or a missing node is why the gates do not hold.
	explained bool
}

func (d *diagnosis) add(what, next string) {
	d.found = append(d.found, Problem{What: what, Next: next})
}

func (d *diagnosis) servers() {
	err := d.look.nomadErr
	if err == nil {
		err = d.look.broker.err
	}
	if d.status.Broker.State == "absent" {
		err = nil
	}
	if err != nil {
		d.add(err.Error(), "the Nomad servers; brokers and proxies go on without them, but nothing is repaired")
	}
	if err := d.look.consulErr; err != nil {
		d.add(err.Error(), "the Consul servers; proxies keep the brokers they know")
	}
}

func (d *diagnosis) nodes() {
	for _, n := range d.status.Nodes {
		id := gates.ShortID(n.ID)
		switch n.Nomad {
		case "", nomad.NodeStatusReady:
			continue
		case "absent":
			d.each("", n.Name, "not in Nomad", "the instance: its console, or /var/log/emqx-boot.log on it, says what its boot waits for")
		case silent:
			d.each("", n.Name, "out of reach of the Nomad servers, which have not noticed yet", whetherItRuns)
		case nomad.NodeStatusDown, nomad.NodeStatusDisconnected:
			d.each("", n.Name, n.Nomad+" in Nomad", whetherItRuns)
		case "draining":
			d.each("", n.Name, "draining in Nomad", "`nomad node status "+id+"` says until when; `nomad node drain -disable "+id+"` ends it")
		case "ineligible":
			d.each("", n.Name, "not eligible for scheduling in Nomad", "`nomad node eligibility -enable "+id+"`")
		default:
			d.each("", n.Name, n.Nomad+" in Nomad", "")
		}
		d.explained = true
	}
}

const whetherItRuns = "whether the instance runs: the pool replaces one that has ended, and the node comes back by itself"

// each adds what something is on a node. Nodes where it is the same come in one line:
// after a power cut there are many.
func (d *diagnosis) each(on, node, is, next string) {
	for i := range d.found {
		p := &d.found[i]
		if p.on == on && p.is == is && p.Next == next {
			p.nodes = append(p.nodes, node)
			p.What = on + gates.JoinNames(p.nodes) + " are " + is
			return
		}
	}
	d.found = append(d.found, Problem{What: on + node + " is " + is, Next: next, on: on, is: is, nodes: []string{node}})
}

func (d *diagnosis) jobs() {
	for _, j := range []JobStatus{d.status.Broker, d.status.Proxy} {
		switch {
		case j.State == "absent":
			d.add("job "+j.ID+" is not registered in Nomad", "`emqx-oci up "+d.Environment+"`")
			d.explained = true
		case j.State == "stopped":
			d.add("job "+j.ID+" is stopped", fmt.Sprintf("who stopped it (`nomad job history %s`); `nomad job start %s` starts it again", j.ID, j.ID))
			d.explained = true
		case j.deploying:
			d.add(fmt.Sprintf("job %s is being deployed: version %d is %s", j.ID, j.Version, j.Deployment), "")
			d.explained = true
		}
	}
}

// waiting explains members that run and do not serve, or did not say whether they do.
func (d *diagnosis) waiting() {
	members := make([]gates.Member, 0, len(d.status.Nodes))
	var longest time.Duration
	for i, n := range d.status.Nodes {
		m := gates.Member{Node: n.Name, Name: d.Member(i), Alloc: n.Broker.ID}
		switch {
		case n.seen.asked && !n.seen.Lost:
			if m.View = &n.seen.MemberView; !n.seen.Answered {
				longest = max(longest, d.status.Time.Sub(n.seen.started))
			}
		case n.Broker.State == "": // Nomad did not say
			continue
		default:
			m.Away = whyAway(n)
		}
		members = append(members, m)
	}
	if what, next := gates.WhoWaits(members); what != "" {
		if longest < 2*startPatience && !slices.ContainsFunc(members, func(m gates.Member) bool { return m.Away != "" }) {
			next = "" // they find out by themselves who was last
		}
		d.add(what, next)
		d.explained = true
		return
	}
	for _, n := range d.status.Nodes {
		if n.seen.asked && !n.seen.Lost && !n.seen.Answered {
			d.silent(n)
			d.explained = true
		}
	}
}

// silent tells of one member that did not answer. What is not known has no cure: to
// restart a broker that is only busy would cost its clients their sessions.
func (d *diagnosis) silent(n NodeStatus) {
	logs := fmt.Sprintf("`nomad alloc logs %s`", gates.ShortID(n.Broker.ID))
	switch {
	case n.seen.Late && n.Member == "stopped":
		d.add(fmt.Sprintf("EMQX on %s: %s, and others call it stopped", n.Name, n.seen.Says),
			"whether it hangs or its network is cut: "+logs+"; they count it in again when it answers them")
	case n.seen.Late:
		d.each("EMQX on ", n.Name, "not known to be well: "+n.seen.Says,
			"look again: a node that is busy answers late; one that never answers hangs, and the others call it stopped after two minutes")
	case n.Member == "starting":
		d.each("EMQX on ", n.Name, "starting", "")
	default:
		d.add(fmt.Sprintf("EMQX on %s runs, but does not serve, %s after its start: %s", n.Name, Age(d.status.Time.Sub(n.seen.started)), n.seen.Says),
			logs+" says what it waits for")
	}
}

// whyAway says why a node has no member that runs.
func whyAway(n NodeStatus) string {
	switch {
	case n.Nomad == "absent":
		return "its node is not in Nomad"
	case n.Nomad != nomad.NodeStatusReady && n.Nomad != "":
		return "its node is " + n.Nomad
	case n.Broker.State == "none":
		return "not placed"
	case n.seen.Lost:
		return "its node does not answer"
	case n.Broker.State == nomad.AllocClientStatusRunning:
		return "its task does not answer"
	}
	return "its task is " + n.Broker.State
}

// tasks are those that do not run on nodes that are there.
func (d *diagnosis) tasks() {
	for _, n := range d.status.Nodes {
		if n.Nomad != nomad.NodeStatusReady || d.status.Broker.State != "running" && d.status.Broker.State != "pending" {
			continue
		}
		look := fmt.Sprintf("`nomad alloc status %s`, `nomad alloc logs %s`", gates.ShortID(n.Broker.ID), gates.ShortID(n.Broker.ID))
		switch n.Broker.State {
		case "":
		case nomad.AllocClientStatusRunning:
			if n.Broker.neverStarted {
				d.each("EMQX on ", n.Name, neverStarted, restartAgent)
			} else if n.seen.Lost {
				d.each("EMQX on ", n.Name, "out of reach: "+n.seen.Says, "whether the node and its Nomad agent run")
			}
		case nomad.AllocClientStatusUnknown:
			// Nomad tries once to place the successor of an allocation that it lost sight
			// of. An instance that comes later than that try is left out.
			d.each("EMQX on ", n.Name, "not placed: Nomad still waits for the instance that was there before, for 15 minutes at most",
				"let Nomad forget those: `nomad operator api -X POST /v1/node/<id>/purge` for each <id> that `nomad node status` calls disconnected")
		case "none", nomad.AllocClientStatusLost:
			if !d.status.Broker.deploying {
				d.each("EMQX on ", n.Name, "not placed", fmt.Sprintf("`nomad job status %s`; after an instance was lost it takes a while", d.BrokerJob))
			}
		default:
			d.each("EMQX on ", n.Name, n.Broker.State+": "+n.Broker.Event, look)
		}
	}
}

const (
	neverStarted = "received again by Nomad's agent, after a power cut say, and never started"
	restartAgent = "`systemctl restart nomad` there: it starts then, and what runs goes on"
)

// views are compared: members that see different ones have split.
func (d *diagnosis) views() {
	d.split()
	stranger := map[string]bool{}
	for _, n := range d.status.Nodes {
		for _, name := range slices.Concat(n.seen.Running, n.seen.Stopped) {
			if stranger[name] || slices.ContainsFunc(d.Nodes, func(w cluster.Node) bool { return cluster.EMQXName(w.Name, d.Datacenter) == name }) {
				continue
			}
			stranger[name] = true
			next := "it leaves by itself when its task ends"
			if slices.Contains(n.seen.Stopped, name) {
				next = fmt.Sprintf("`nomad alloc exec -task %s %s emqx ctl cluster force-leave %s`", cluster.EMQXTask, gates.ShortID(n.Broker.ID), name)
			}
			d.add(name+" is a member that the stack does not want", next)
		}
	}
}

// split says who sees whom, where members that run do not see each other: those who see the
// same in one clause, as a cluster of thirty would fill a page.
func (d *diagnosis) split() {
	var views []string // of whom, in the order of the first that has it
	seers := map[string][]string{}
	for i, n := range d.status.Nodes {
		if !n.seen.Answered {
			continue
		}
		var sees []string
		for j, o := range d.status.Nodes {
			if o.seen.Answered && (i == j || slices.Contains(n.seen.Running, d.Member(j))) {
				sees = append(sees, o.Name)
			}
		}
		view := gates.JoinNames(sees)
		if seers[view] == nil {
			views = append(views, view)
		}
		seers[view] = append(seers[view], n.Name)
	}
	if len(views) < 2 { // each sees itself: one view is everybody's, of everybody
		return
	}
	var clauses []string
	for _, view := range views {
		verb := " sees "
		if len(seers[view]) > 1 {
			verb = " see "
		}
		clauses = append(clauses, gates.JoinNames(seers[view])+verb+view)
	}
	d.add("the cluster is split: "+strings.Join(clauses, "; "),
		fmt.Sprintf("whether %d and %d are open between them; once they are, EMQX restarts the smaller side within a minute, and else `nomad alloc restart` of it does",
			cluster.Distribution, cluster.RPC))
}

func (d *diagnosis) checks() {
	before := len(d.found)
	for _, n := range d.status.Nodes {
		if n.Check == "" || n.Check == consul.HealthPassing || n.Nomad != nomad.NodeStatusReady && n.Nomad != "" {
			continue
		}
		if d.status.Proxy.State == "stopped" || d.status.Proxy.State == "absent" {
			continue
		}
		is, next := n.Check, d.whyNotHealthy(n.CheckSays)+"; clients of other nodes go on"
		switch {
		case n.Proxy.State == "none":
			is = "not placed"
		case n.CheckSays != "":
			is += ": " + n.CheckSays
		case n.Proxy.State != nomad.AllocClientStatusRunning && n.Proxy.Event != "":
			is += ", its task is " + n.Proxy.State + ": " + n.Proxy.Event
		case n.Check == "absent":
			is = "not in Consul"
		}
		if n.Proxy.neverStarted {
			d.each(d.Proxy.Title+" on ", n.Name, neverStarted, restartAgent)
			continue
		}
		if n.Proxy.ID != "" {
			next = fmt.Sprintf("`nomad alloc logs %s`; %s", gates.ShortID(n.Proxy.ID), next)
		}
		d.each(d.Proxy.Title+" on ", n.Name, is, next)
	}
	v := d.look.proxies
	if v.asked && !v.holds && len(d.found) == before && !d.explained && d.look.nomadErr == nil && d.look.consulErr == nil {
		d.add(v.seen, v.next)
	}
}

// whyNotHealthy says what the output of a proxy's check is a sign of, where it is one.
func (d *diagnosis) whyNotHealthy(output string) string {
	switch {
	case strings.Contains(output, "503"):
		return "its page fails while a protocol has no broker"
	case strings.Contains(output, "deadline exceeded"):
		return "a node that is busy answers late"
	}
	return "whether " + d.Proxy.Title + " runs there"
}

// Age is how long ago something was, in its two largest units at most.
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
