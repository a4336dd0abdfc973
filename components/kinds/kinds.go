// Package kinds is the table of all implementations of the seams, and the only place that names them.
package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/edge/flexible"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// The implementations, by what the stack file says. Where it offers no choice there is one, by "".
var (
	// `cloud`
	hosts = map[string]seams.Hosts{
		"oci": ocihosts.Hosts{},
	}
	// `edge.kind`
	edges = map[string]seams.Edge{
		"network":  nlb.Edge{},
		"flexible": flexible.Edge{},
	}
	proxies = map[string]seams.Proxy{
		"": haproxy.Proxy{},
	}
	names = map[string]seams.Names{
		"": ocidns.Names{},
	}
)

// Kinds are the implementations that one cluster is made of.
type Kinds struct {
	Hosts seams.Hosts
	Edge  seams.Edge
	Proxy seams.Proxy
	Names seams.Names
}

// Of are those that settings ask for. A value that is not in the table is of a stack that runs elsewhere on a cloud that
// is like the default's, or one that settings refuse: then a look at the rest of the stack file is still worth something.
func Of(s settings.Settings) Kinds {
	return Kinds{
		Hosts: chosen(hosts, s.Cloud, "oci"),
		Edge:  chosen(edges, s.Edge.Kind, "network"),
		Proxy: proxies[""],
		Names: names[""],
	}
}

func chosen[K any](table map[string]K, value, usual string) K {
	if kind, ok := table[value]; ok {
		return kind
	}
	return table[usual]
}

// all are the four.
func (k Kinds) all() []seams.Kind { return []seams.Kind{k.Hosts, k.Edge, k.Proxy, k.Names} }

// Words are in what a plan is told.
func (k Kinds) Words() blast.Kinds {
	words := blast.Kinds{Hosts: k.Hosts.Words(), Edge: k.Edge.Words(), Proxy: k.Proxy.Words(), Names: k.Names.Words()}
	for _, other := range sorted(edges) {
		if other != seams.Kind(k.Edge) {
			words.OtherEdges = append(words.OtherEdges, other.(seams.Edge).Words())
		}
	}
	return words
}

// StandIn makes the settings ones that can be recorded without a cloud: see [seams.Kind].
func (k Kinds) StandIn(s *settings.Settings) seams.Answers {
	answers := seams.Answers{}
	for _, kind := range k.all() {
		maps.Copy(answers, kind.StandIn(s))
	}
	return answers
}

// every kind of the table, in the order of the seams.
func every() []seams.Kind {
	return slices.Concat(sorted(hosts), sorted(edges), sorted(proxies), sorted(names))
}

func sorted[K seams.Kind](table map[string]K) []seams.Kind {
	var all []seams.Kind
	for _, name := range slices.Sorted(maps.Keys(table)) {
		all = append(all, table[name])
	}
	return all
}

// Checks are the common ones and those of every kind, in the order of the page.
func Checks() []preflight.Check { return join(every()) }

// Checks are the common ones and those of the four.
func (k Kinds) Checks() []preflight.Check { return join(k.all()) }

func join(all []seams.Kind) []preflight.Check {
	lists := [][]preflight.Check{preflight.Checks}
	for _, kind := range all {
		lists = append(lists, kind.Checks())
	}
	return preflight.Join(lists...)
}

// Phase is the part of a deployment that a resource of that type belongs to, whatever the cluster is made of; "" for a
// type that no kind registers.
func Phase(typ string) string {
	for _, k := range every() {
		if phase := k.Phase(typ); phase != "" {
			return phase
		}
	}
	return ""
}

// DataVolume is the volume with a node's data that a resource of a state is, if it is one, and what its cloud is called.
func DataVolume(typ string, inputs map[string]any) (v seams.DataVolume, cloud string, ok bool) {
	for _, k := range hosts {
		if v, ok = k.DataVolume(typ, inputs); ok {
			return v, k.Guarded(settings.Settings{}).Cloud, true
		}
	}
	return v, "", false
}

// ProviderOf is the one that a resource of this type is of; nil for the agents' and for strangers.
func (k Kinds) ProviderOf(typ string) *seams.Provider {
	pkg, _, _ := strings.Cut(typ, ":")
	for _, p := range k.Providers() {
		if p.Package == pkg {
			return p
		}
	}
	return nil
}

// Providers are those that they register their resources with, each once, in the order of the seams.
func (k Kinds) Providers() []*seams.Provider {
	var found []*seams.Provider
	seen := map[string]bool{}
	for _, kind := range k.all() {
		if p := kind.Provider(); p != nil && !seen[p.Package] {
			seen[p.Package] = true
			found = append(found, p)
		}
	}
	return found
}
