package operate

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// view is the cluster as one member sees it.
type view struct {
	asked    bool      // its task runs, and was asked
	answered bool      // and it answered
	started  time.Time // the task
	says     string    // why it did not answer
	lost     bool      // nothing came back from the node at all
	noPath   bool      // because the servers have no connection to its agent

	running, stopped  []string
	clients, sessions *int
}

// startPatience is how long a member may be silent after its task's start before
// it counts as waiting: it starts in 3.5 s alone, in 10 s where three share two
// cores, and joins within 15 s.
const startPatience = 30 * time.Second

// askMember prints the cluster's status, a line, and the member's own metrics, which
// need no credentials. Its dashboard listens on the node's address alone. It is
// silent about a metric that is not there: an operator may have closed the page. A
// member that is frozen, or waits, may never answer: hence the time limits.
const askMember = `timeout 7 emqx ctl cluster status --json
code=$?
echo
echo ` + metricsMark + `
if exec 3<>"/dev/tcp/${NOMAD_ADDR_dashboard%:*}/${NOMAD_ADDR_dashboard##*:}"; then
  printf 'GET /api/v5/prometheus/stats HTTP/1.0\r\nHost: %s\r\n\r\n' "$NOMAD_ADDR_dashboard" >&3
  timeout 3 grep -E '^emqx_(live_connections|sessions)_count' <&3
fi 2>/dev/null
exit $code`

const metricsMark = "---"

var metric = regexp.MustCompile(`(?m)^emqx_(live_connections|sessions)_count(?:\{[^}]*\})? (\d+)`)

// view asks the member in an allocation; nil is none.
func (c *Cluster) view(ctx context.Context, a *nomad.AllocationListStub) (v view) {
	if a == nil || a.ClientStatus != nomad.AllocClientStatusRunning {
		return v
	}
	v.asked = true
	if t := a.TaskStates[brokerTask]; t != nil {
		v.started = t.StartedAt
	}
	r, err := c.ask(ctx, a.ID, "/bin/bash", "-c", askMember)
	if err != nil {
		v.lost, v.says = true, err.Error()
		v.noPath = strings.Contains(v.says, "No path to node") // the servers' words
		return v
	}
	status, metrics, _ := strings.Cut(r.Stdout, "\n"+metricsMark+"\n")
	for _, m := range metric.FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		if m[1] == "sessions" {
			v.sessions = &n
		} else {
			v.clients = &n
		}
	}
	if r.Exit == 124 { // of timeout(1)
		v.says = "no answer to `emqx ctl` within 7 s"
		return v
	}
	if r.Exit != 0 {
		v.says = oneLine(r.Stderr + " " + status)
		return v
	}
	var answer struct {
		Running []string `json:"running_nodes"`
		Stopped []string `json:"stopped_nodes"`
	}
	// Warnings may come before the answer, on the same stream.
	start := max(strings.Index(status, "{"), 0)
	if err := json.NewDecoder(strings.NewReader(status[start:])).Decode(&answer); err != nil {
		v.says = "its cluster status is no JSON: " + oneLine(status)
		return v
	}
	v.answered, v.running, v.stopped = true, answer.Running, answer.Stopped
	return v
}

// members says what EMQX is on each node: by its own answer, else by those of the
// others, else by its task.
func (c *Cluster) members(nodes []NodeStatus) {
	seen := func(name string, in func(view) []string) bool {
		return slices.ContainsFunc(nodes, func(n NodeStatus) bool { return slices.Contains(in(n.seen), name) })
	}
	for i := range nodes {
		n := &nodes[i]
		name := c.Nodes[i].Member
		silent := n.seen.lost || n.Broker.State == "" || n.Broker.State == nomad.AllocClientStatusUnknown
		switch {
		case n.seen.answered, silent && seen(name, func(v view) []string { return v.running }):
			n.Member = "running"
		case silent && seen(name, func(v view) []string { return v.stopped }), !silent && !n.seen.asked:
			n.Member = "stopped"
		case silent:
			n.Member = "unknown"
		case c.Clock.Now().Sub(n.seen.started) < startPatience:
			n.Member = "starting"
		default:
			n.Member = "waiting"
		}
	}
}

// maxOutput bounds the text taken over from another program.
const maxOutput = 300

// oneLine makes another program's output fit into a line of ours.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxOutput {
		return string(r[:maxOutput]) + "..."
	}
	return s
}
