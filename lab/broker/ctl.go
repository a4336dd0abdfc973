package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const ctlUsage = `status
cluster join <Node> | leave | force-leave <Node> | status [--json] | discovery enable|disable
clients list | show <ClientId> | kick <ClientId>
listeners
retainer info | topics | clean <Topic>
data export | import <File>
pem_cache clean
rescue force-load
`

// Ctl runs one `emqx ctl` command against this machine's node, named by the same
// environment, and returns the exit code. It talks to the node by its name, so the
// name has to resolve, as with the real one.
func Ctl(opts Options, args []string, stderr io.Writer) int {
	opts = opts.withDefaults()
	cfg, err := loadConfig(opts.Env)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "reading the configuration: "+err.Error())
		return 1
	}
	r, err := askNode(opts, cfg, args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "Node %s not responding to pings.\n%v\n", cfg.node, err)
		return 1
	}
	out := opts.Stdout
	if r.Code != 0 {
		out = stderr
	}
	_, _ = fmt.Fprintln(out, strings.TrimRight(r.Text, "\n"))
	return r.Code
}

func askNode(opts Options, cfg config, args []string) (*message, error) {
	ctx := context.Background()
	host, err := resolveHost(ctx, opts.Resolver, cfg.node.host)
	if err != nil {
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

func done(text string) *message          { return &message{Text: text} }
func failed(f string, a ...any) *message { return &message{Code: 1, Text: fmt.Sprintf(f, a...)} }

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
		return done(a.listenersText())
	case "eval_erl":
		return a.eval(word(1))
	case "data":
		return n.ctlData(word(1), word(2))
	case "retainer":
		return a.ctlRetainer(word(1), word(2))
	case "pem_cache":
		if word(1) == "clean" {
			return a.cleanPEMCache()
		}
	}
	return &message{Code: 1, Text: "Usage: emqx ctl\n" + ctlUsage}
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
		if err := n.joinAsked(arg); err != nil {
			return failed("Failed to join the cluster: {error,%v}", err)
		}
		return done("Join the cluster successfully.\n" + n.statusText())
	case "leave":
		if err := n.leave(); err != nil {
			return failed("Failed to leave the cluster: {error,%v}", err)
		}
		return done("Leave the cluster successfully.\n" + n.statusText())
	case "force-leave":
		if err := n.forceLeave(n.ctx, arg); err != nil {
			return failed("Failed to remove the node from cluster: {error,%v}", err)
		}
		return done("Remove the node from cluster successfully.\n" + n.statusText())
	case "discovery":
		if arg == "enable" || arg == "disable" {
			if err := n.setDiscovery(arg == "enable"); err != nil {
				return failed("%v", err)
			}
			return done("Automatic cluster discovery " + arg + "d.")
		}
	}
	return &message{Code: 1, Text: "Usage: emqx ctl\n" + ctlUsage}
}

func (a *app) ctlClients(verb, id string) *message {
	switch verb {
	case "list":
		var b strings.Builder
		for _, c := range a.clients() {
			_, _ = fmt.Fprintln(&b, c)
		}
		return done(b.String())
	case "show":
		for _, c := range a.clients() {
			if c.ID == id {
				return done(c.String())
			}
		}
		return failed("Not Found.")
	case "kick":
		if a.node.kickClients(a.node.ctx, []string{id}) > 0 {
			return done("ok")
		}
		return failed("Not Found.")
	}
	return &message{Code: 1, Text: "Usage: emqx ctl\n" + ctlUsage}
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
	return &message{Code: 1, Text: "Usage: emqx ctl\n" + ctlUsage}
}

func (a *app) cleanPEMCache() *message {
	for _, l := range a.listeners {
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
