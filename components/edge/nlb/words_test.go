package nlb_test

import (
	"fmt"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

var wordsKinds = blast.Kinds{Hosts: ocihosts.Hosts{}.Words(), Edge: nlb.Edge{}.Words(), Proxy: haproxy.Proxy{}.Words(), Names: ocidns.Names{}.Words()}

// wordsSettings are those of a stack of three nodes.
func wordsSettings() settings.Settings {
	s := settings.Settings{Environment: "lab", Latency: 1}
	s.Nodes.Count = 3
	return s
}

// What an update that ended at a gate left to do: the sets are there with all their
// backends, and only the listeners come.
func TestWordsOfListenersOfSetsThatExist(t *testing.T) {
	r := blast.Assess([]blast.Change{
		{Op: blast.Create, Type: "oci:NetworkLoadBalancer/listener:Listener", Name: "listeners-mqtt"},
		{Op: blast.Create, Type: "oci:NetworkLoadBalancer/listener:Listener", Name: "listeners-ws"},
	}, wordsSettings(), wordsKinds)
	assert.Equal(t, r.Lines[0].Text, "mqtt, ws open: 2 listeners with 6 backends and what belongs to them")
}

// The elements of a provider's set have no order, and a plan tells their places.
func TestWordsTellBackendsByNode(t *testing.T) {
	backend := func(node int, address string, port float64) any {
		return map[string]any{"name": fmt.Sprintf("emqx-lab-%d", node), "ipAddress": address, "port": port}
	}
	set := func(diffs []blast.Diff, before, after []any) blast.Change {
		return blast.Change{
			Op: blast.Update, Type: "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", Name: "balancer-mqtt",
			Diffs: diffs, Old: map[string]any{"backends": before}, New: map[string]any{"backends": after},
		}
	}
	ends := []blast.Diff{{Path: "backends[0].port", Kind: "update", Old: 1883.0, New: 2883.0}}
	checks := blast.Diff{Path: "healthChecker.port", Kind: "update", Old: 8080.0, New: 9080.0}
	for name, c := range map[string]struct {
		change blast.Change
		want   string
	}{
		"another order": {
			set([]blast.Diff{checks}, []any{backend(0, "a", 1), backend(1, "b", 1)}, []any{backend(1, "b", 1), backend(0, "a", 1)}),
			"Backend sets change: mqtt (its port 8080 -> 9080)",
		},
		"another port": {
			set(ends, []any{backend(0, "a", 1883), backend(1, "b", 1883)}, []any{backend(0, "a", 2883), backend(1, "b", 2883)}),
			"2 backends of emqx-lab-0, emqx-lab-1 are replaced (port 1883 -> 2883)",
		},
		"another port of the checks too": {
			set(append(ends, checks), []any{backend(0, "a", 1883)}, []any{backend(0, "a", 2883)}),
			"1 backend of emqx-lab-0 is replaced (port 1883 -> 2883, its port 8080 -> 9080)",
		},
		"one that goes without its node": {
			set(nil, []any{backend(0, "a", 1), backend(1, "b", 1)}, []any{backend(1, "b", 1)}),
			"1 backend of emqx-lab-0 is removed: the balancer no longer uses HAProxy there",
		},
		"one that comes without its node": {set(nil, []any{}, []any{backend(2, "c", 1)}), "1 backend for emqx-lab-2"},
	} {
		r := blast.Assess([]blast.Change{c.change}, wordsSettings(), wordsKinds)
		assert.Equal(t, r.Lines[0].Text, c.want, name)
		assert.Equal(t, len(r.Lines), 1, name)
		assert.DeepEqual(t, r.Lines[0].Resources, []string{c.change.Label()})
	}
}
