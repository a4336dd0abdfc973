package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const ctlUsage = `status
cluster join <Node> | leave | force-leave <Node> | status [--json] | discovery enable
clients list | show <ClientId> | kick <ClientId>
listeners [stop | start <Identifier>]
topics show <Topic>
retainer info | topics | clean <Topic>
data export | import <File>
pem_cache clean all
rescue force-load
`

// unresolved is how long the real `emqx ctl` and `emqx eval` take to give up when the
// node's own name does not resolve: they ask for it four times.
const unresolved = 16800 * time.Millisecond

// Ctl runs one `emqx ctl` command against this machine's node, named by the same
// environment, and returns the exit code. It talks to the node by its name, so the
// name has to resolve, as with the real one.
//
// The exit code says as little as the real one's (nodetool's rpc_infinity): 1 for a node
// that does not answer, a command that there is not, and one whose function in the node
// returns anything but ok, as `clients list` does with clients; 0 for all that only
// prints, a failure or how it is used. What is said goes to standard output.
func Ctl(opts Options, args []string, stderr io.Writer) int {
	opts = opts.withDefaults()
	burn(opts.CtlCost)
	cfg, err := loadConfig(withCookieInUse(opts.Env, opts.Processes))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "reading the configuration: "+err.Error())
		return 1
	}
	r, err := askNode(opts, cfg, args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "Node %s not responding to pings.\n%v\n", cfg.node, err)
		return 1
	}
	_, _ = fmt.Fprintln(opts.Stdout, strings.TrimRight(r.Text, "\n"))
	return r.Code
}

// burn uses the processor for so long, however many share it.
func burn(cost time.Duration) {
	for end := processorTime() + cost; processorTime() < end; {
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // never fails for oneself
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func askNode(opts Options, cfg config, args []string) (*message, error) {
	ctx, begin := context.Background(), time.Now()
	host, err := resolveHost(ctx, opts.Resolver, cfg.node.host)
	if err != nil {
		time.Sleep(opts.Unresolved - time.Since(begin))
		return nil, fmt.Errorf("resolving the node's own name: %w", err)
	}
	addr := net.JoinHostPort(host, strconv.Itoa(cfg.node.distPort()))
	w, err := dialWire(ctx, addr, kindCtl, "ctl@"+cfg.node.host, cfg.node.String(), cfg.cookie)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return w.call(&message{Args: args}, time.Minute)
}

func done(text string) *message { return &message{Text: text} }

// said is what the real one prints of a failure, and no more than that: exit code 0.
func said(f string, a ...any) *message { return done(fmt.Sprintf(f, a...)) }

// failed is an answer with exit code 1.
func failed(f string, a ...any) *message { return &message{Code: 1, Text: fmt.Sprintf(f, a...)} }

func usage() *message { return done("Usage: emqx ctl\n" + ctlUsage) }

// ctl answers a command in the node.
func (n *node) ctl(args []string) *message {
	word := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	if word(0) == "ping" {
		return done("pong")
	}
	if word(0) == "rescue" && word(1) == "force-load" {
		return n.forceLoad()
	}
	var a *app
	n.withApp(func(x *app) { a = x })
	if a == nil {
		return failed("Node %s is starting: it waits for other members or joins them, and serves nothing yet", n.cfg.node)
	}
	switch word(0) {
	case "status":
		return done(fmt.Sprintf("Node '%s' %s is started", n.cfg.node, Version))
	case "cluster":
		return n.ctlCluster(word(1), word(2))
	case "clients":
		return a.ctlClients(word(1), word(2))
	case "listeners":
		return a.ctlListeners(word(1), word(2))
	case "eval_erl":
		return a.eval(word(1))
	case "data":
		return n.ctlData(word(1), word(2))
	case "topics":
		if word(1) == "show" {
			return done(a.routesText(word(2)))
		}
	case "retainer":
		return a.ctlRetainer(word(1), word(2))
	case "pem_cache":
		if word(1) == "clean" && word(2) == "all" {
			return a.cleanPEMCache()
		}
		return usage()
	}
	return failed("Usage: emqx ctl\n%s", ctlUsage)
}

func (n *node) statusText() string {
	running, stopped := n.clusterStatus()
	quote := func(names []string) string {
		if len(names) == 0 {
			return "[]"
		}
		return "['" + strings.Join(names, "','") + "']"
	}
	text := "Cluster status: #{running_nodes => " + quote(running)
	return text + ",stopped_nodes => " + quote(stopped) + "}"
}

func (n *node) ctlCluster(verb, arg string) *message {
	switch verb {
	case "status":
		if arg != "--json" {
			return done(n.statusText())
		}
		running, stopped := n.clusterStatus()
		b, err := json.Marshal(struct {
			Stopped []string `json:"stopped_nodes"`
			Running []string `json:"running_nodes"`
		}{stopped, running})
		if err != nil {
			return failed("%v", err)
		}
		return done(string(b))
	case "join":
		if arg == n.cfg.node.String() {
			return said("Ignore.")
		}
		if err := n.joinAsked(arg); err != nil {
			return said("Failed to join the cluster: %v", err)
		}
		return done("Join the cluster successfully.\n" + n.statusText())
	case "leave":
		if err := n.leave(); err != nil {
			return said("Failed to leave the cluster: %v", err)
		}
		return done("Leave the cluster successfully.\n" + n.statusText())
	case "force-leave":
		if arg == n.cfg.node.String() {
			return said("Ignore.")
		}
		if err := n.forceLeave(n.ctx, arg); err != nil {
			return said("Failed to remove the node from cluster: %v", err)
		}
		return done("Remove the node from cluster successfully.\n" + n.statusText())
	case "discovery":
		if arg == "enable" {
			n.enableDiscovery()
			return done("Automatic cluster discovery enabled.")
		}
	}
	return usage()
}

func (a *app) ctlClients(verb, id string) *message {
	switch verb {
	case "list":
		var b strings.Builder
		for _, c := range a.clients() {
			_, _ = fmt.Fprintln(&b, c)
		}
		if b.Len() == 0 {
			return done("No clients.")
		}
		return &message{Code: 1, Text: b.String()}
	case "show":
		for _, c := range a.clients() {
			if c.ID == id {
				return done(c.String())
			}
		}
		return said("Not Found.")
	case "kick":
		a.node.kickClients(a.node.ctx, []string{id}) // the same is said of nobody
		return done("ok")
	}
	return usage()
}

func (a *app) ctlRetainer(verb, topic string) *message {
	switch verb {
	case "info":
		return done(fmt.Sprintf("Number of retained messages: %d", a.node.data.live()))
	case "topics":
		var b strings.Builder
		for _, p := range a.node.data.all() {
			if len(p.Payload) > 0 {
				_, _ = fmt.Fprintln(&b, p.Topic)
			}
		}
		return done(b.String())
	case "clean":
		if err := a.publish(topic, nil, 0, true); err != nil {
			return failed("%v", err)
		}
		return done("ok")
	}
	return usage()
}

func (a *app) cleanPEMCache() *message {
	for _, l := range a.standing() {
		if l.tls == nil {
			continue
		}
		if err := l.tls.load(); err != nil {
			return failed("%s: %v", l.ID(), err)
		}
	}
	return done("PEM cache cleared on node " + a.node.cfg.node.String())
}

// forceLoad is emqx_cluster_rescue: a waiting member goes ahead with what it has.
func (n *node) forceLoad() *message {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.phase != phaseWaiting {
		return failed("Node %s does not wait for other members", n.cfg.node)
	}
	n.phase = phaseRunning
	return done("ok")
}
