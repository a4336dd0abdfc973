package faults

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
)

// target is what a fault is done to.
type target string

const (
	onNode     target = "N"
	onNodes    target = "A B"
	onDomain   target = "AD"
	onServers  target = "consul|nomad|both"
	onDuration target = "DURATION"
	onCode     target = "CODE"
)

// Kind is one line of the table.
type Kind struct {
	Name   string
	Target string // as in the usage line
	Does   string
	Real   string // what it would be outside of the lab
	Undo   string // empty: there is nothing to undo

	target target
	do     func(*run) error
	undo   func(*run) error
	cut    func(*Set, entry) []Cut // of those that only change the network
}

// Lasts tells whether the fault stays until it is undone.
func (k Kind) Lasts() bool { return k.Undo != "" }

// Table lists all faults, in the order of the help.
func Table() []Kind {
	table := []Kind{
		{
			Name: "kill-broker", target: onNode, do: kill(brokerTask),
			Does: "SIGKILL to all processes of EMQX's container", Real: "a crash, or the kernel out of memory",
		},
		{
			Name: "kill-haproxy", target: onNode, do: kill(proxyTask),
			Does: "SIGKILL to all processes of HAProxy's container", Real: "the same",
		},
		{
			Name: "freeze-broker", target: onNode, do: freeze(brokerTask), undo: thaw(brokerTask),
			Does: "SIGSTOP to them: ports stay open, nobody answers", Real: "a dead lock, a stalled disk", Undo: "SIGCONT",
		},
		{
			Name: "freeze-haproxy", target: onNode, do: freeze(proxyTask), undo: thaw(proxyTask),
			Does: "the same of HAProxy", Real: "the same", Undo: "SIGCONT",
		},
		{
			Name: "stop-instance", target: onNode, do: stopInstance, undo: startInstance,
			Does: "power off; the instance stays STOPPED and its pool launches no other", Real: "an operator's stop, a host's maintenance", Undo: "starts it",
		},
		{
			Name: "terminate-instance", target: onNode, do: terminateInstance,
			Does: "ends the instance as a soft stop does: its units stop in their order, clients are moved first, two minutes at most; its pool launches another with a new primary address", Real: "a terminated instance, a lost host",
		},
		{
			Name: "lose-domain", target: onDomain, do: loseDomain, undo: restoreDomain,
			Does: "ends all instances of the availability domain; launches there fail with 500 Out of host capacity", Real: "an availability domain down", Undo: "lets launches succeed",
		},
		{
			Name: "cut-nodes", target: onNodes, cut: cutNodes,
			Does: "drops all packets between two nodes", Real: "a broken link, a wrong security list", Undo: "lets them pass",
		},
		{
			Name: "isolate", target: onNode, cut: isolate,
			Does: "drops all packets between the node and the other nodes; servers and clients reach it", Real: "the minority side of a partition", Undo: "lets them pass",
		},
		{
			Name: "cut-consul", target: onNode, cut: cutServer(8300, 8301, 8302, 8500, 8600),
			Does: "drops all packets between the node and the Consul servers", Real: "a partition from the servers", Undo: "lets them pass",
		},
		{
			Name: "cut-nomad", target: onNode, cut: cutServer(4646, 4647, 4648),
			Does: "drops all packets between the node and the Nomad servers", Real: "the same", Undo: "lets them pass",
		},
		{
			Name: "stop-servers", target: onServers, do: stopServers, undo: startServers,
			Does: "kills the lab's Consul or Nomad server, or both; their data stays", Real: "the servers' quorum lost", Undo: "starts them and waits for a leader",
		},
		{
			Name: "fill-disk", target: onNode, do: fillDisk, undo: emptyDisk,
			Does: "takes all that is free on the node's volume", Real: "a disk full of logs or messages", Undo: "gives it back",
		},
		{
			Name: "detach-volume", target: onNode, do: detachVolume, undo: attachVolume,
			Does: "detaches the mounted volume by force: input/output errors", Real: "a forced detach, a lost iSCSI session", Undo: "attaches it again and restarts the instance, since nothing mounts over a dead file system",
		},
		{
			Name: "slow-api", target: onDuration, do: api, undo: api,
			Does: "each call of the cloud's API takes that much longer", Real: "a busy region", Undo: "full speed",
		},
		{
			Name: "fail-api", target: onCode, do: api, undo: api,
			Does: "calls of the cloud's API fail: " + strings.Join(codeNames(), ", "), Real: "throttling, conflicts, an outage", Undo: "calls succeed",
		},
	}
	for i := range table {
		table[i].Target = string(table[i].target)
	}
	return table
}

// find returns a kind, or an error that suggests the nearest.
func find(name string) (Kind, error) {
	table := Table()
	if at := slices.IndexFunc(table, func(k Kind) bool { return k.Name == name }); at >= 0 {
		return table[at], nil
	}
	best, least := "", len(name)/2+2
	for _, k := range table {
		if d := levenshtein.Distance(name, k.Name, nil); d < least {
			best, least = k.Name, d
		}
	}
	if best != "" {
		return Kind{}, fmt.Errorf("unknown fault %q: did you mean %s?", name, best)
	}
	names := make([]string, len(table))
	for i, k := range table {
		names[i] = k.Name
	}
	return Kind{}, fmt.Errorf("unknown fault %q: there are %s", name, strings.Join(names, ", "))
}

// Markdown is the table for docs/lab.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| fault | what it does | in reality | undone by `--undo` |\n|---|---|---|---|\n")
	for _, k := range Table() {
		undo := k.Undo
		if undo == "" {
			undo = "-"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", k.Name, strings.ReplaceAll(k.Target, "|", `\|`), k.Does, k.Real, undo)
	}
	return b.String()
}

// Write lists active faults in columns of a tabwriter.
func Write(w io.Writer, active []Active) {
	_, _ = fmt.Fprintf(w, "FAULT\tSINCE\tUNTIL\n")
	for _, a := range active {
		until := "it is undone"
		if !a.Until.IsZero() {
			until = a.Until.Local().Format(time.TimeOnly)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", a.Fault, a.Since.Local().Format(time.TimeOnly), until)
	}
}

// Help is the table for a terminal.
func Help() string {
	var b strings.Builder
	for _, k := range Table() {
		fmt.Fprintf(&b, "  %-31s %s", k.Name+" "+k.Target, k.Does)
		if k.Lasts() {
			fmt.Fprintf(&b, " (--undo: %s)", k.Undo)
		}
		b.WriteString("\n")
	}
	return b.String()
}
