package haproxy_test

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// HAProxy reads its statistics' password again where a node stays. A plan that brings more nodes than the
// settings have, as one of other settings, leaves none that is known to.
func TestWordsOfAReload(t *testing.T) {
	kinds := blast.Kinds{Hosts: ocihosts.Hosts{}.Words(), Edge: nlb.Edge{}.Words(), Proxy: haproxy.Proxy{}.Words(), Names: ocidns.Names{}.Words()}
	s := settings.Settings{Environment: "lab", Latency: 1}
	s.Nodes.Count = 1
	s.Proxy.KillTimeout = 60 * time.Second
	secret := blast.Change{
		Op: blast.Update, Type: "nomad:index/variable:Variable", Name: "secrets-haproxy", Diffs: []blast.Diff{{Path: "items.stats_password", Kind: "update"}},
	}
	for _, c := range []struct {
		pools    []string
		headline string
		nodes    []string
	}{
		{nil, "0 nodes restarted; HAProxy reloaded on 1 node", []string{"emqx-lab-0"}},
		{[]string{"pools-1", "pools-2"}, "2 nodes added; 0 nodes restarted; HAProxy reloaded on 0 nodes", []string{}},
	} {
		changes := []blast.Change{secret}
		for _, name := range c.pools {
			changes = append(changes, blast.Change{Op: blast.Create, Type: "oci:Core/instancePool:InstancePool", Name: name})
		}
		r := blast.Assess(changes, s, kinds)
		assert.Equal(t, r.Headline, c.headline)
		assert.DeepEqual(t, r.Nodes.ProxyReloaded, c.nodes)
		details := strings.Join(r.Lines[0].Details, " ")
		assert.Assert(t, strings.Contains(details, "cut when it ends, about 55 s later"), details)
	}
}
