package flexible_test

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

func wordsSettings(kind string) settings.Settings {
	s := settings.Settings{Environment: "lab", Latency: 1, Edge: settings.Edge{Kind: kind}, DNS: settings.DNS{Name: "mqtt.example.com", TTL: 60}}
	s.Nodes.Count = 3
	return s
}

func change(op, typ, name string, diffs ...blast.Diff) blast.Change {
	return blast.Change{Op: op, Type: "oci:" + typ, Name: "cluster-" + name, Diffs: diffs}
}

func assess(kind string, changes ...blast.Change) blast.Report {
	s := wordsSettings(kind)
	return blast.Assess(changes, s, kinds.Of(s).Words())
}

// Whichever takes the other's place: it is said once, and nobody says that clients are shut out.
func TestWordsOfAnotherKind(t *testing.T) {
	network := []blast.Change{
		change("", "NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", "balancer"),
		change("", "NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", "balancer-mqtt"),
		change("", "NetworkLoadBalancer/listener:Listener", "listeners-mqtt"),
	}
	flexible := []blast.Change{
		change("", "LoadBalancer/loadBalancer:LoadBalancer", "balancer"), change("", "LoadBalancer/backendSet:BackendSet", "balancer-mqtt"),
		change("", "LoadBalancer/backend:Backend", "balancer-mqtt-0"), change("", "LoadBalancer/listener:Listener", "listeners-mqtt"),
	}
	of := func(op string, all []blast.Change) (out []blast.Change) {
		for _, c := range all {
			c.Op = op
			out = append(out, c)
		}
		return out
	}
	for kind, x := range map[string]struct {
		made, gone []blast.Change
		until      bool
	}{"flexible": {flexible, network, false}, "network": {network, flexible, true}} {
		r := assess(kind, append(of(blast.Create, x.made), of(blast.Delete, x.gone)...)...)
		assert.Equal(t, len(r.Lines), 2, "%+v", r.Lines)
		texts := r.Lines[0].Text + "\n" + r.Lines[1].Text
		assert.Assert(t, strings.Contains(texts, "The balancer is replaced by one of another kind, and with it its address"), texts)
		assert.Assert(t, strings.Contains(texts, "A balancer is made, with 1 listener; it opens when HAProxy is ready"), texts)
		for _, l := range r.Lines {
			if strings.Contains(l.Text, "another kind") {
				assert.Equal(t, l.Severity, blast.Interruption)
				assert.Equal(t, strings.Contains(strings.Join(l.Details, " "), "header that is expected no more"), x.until)
			}
		}
	}
}

func TestWordsOfChanges(t *testing.T) {
	renamed := blast.Diff{Path: "certificateName", Kind: "update", Old: "emqx-1", New: "emqx-2", Replaces: true}
	for name, c := range map[string]struct {
		changes  []blast.Change
		severity blast.Severity
		want     string
	}{
		"another certificate": {
			[]blast.Change{change(blast.Replace, "LoadBalancer/certificate:Certificate", "balancer-certificate", renamed)},
			blast.Notice,
			"The balancer gets another certificate: made beside the old one, which goes once no listener has it",
		},
		"another bandwidth": {
			[]blast.Change{change(blast.Update, "LoadBalancer/loadBalancer:LoadBalancer", "balancer", blast.Diff{Path: "shapeDetails.maximumBandwidthInMbps", Kind: "update", Old: 100.0, New: 400.0})},
			blast.Interruption, "The balancer changes (most Mbit/s 100 -> 400)",
		},
		"other checks": {
			[]blast.Change{
				change(blast.Replace, "LoadBalancer/backendSet:BackendSet", "balancer-mqtt", blast.Diff{Path: "healthChecker.retries", Kind: "update", Old: 3.0, New: 4.0}, blast.Diff{Path: "name", Kind: "update", Old: "a", New: "b"}),
				change(blast.Replace, "LoadBalancer/backend:Backend", "balancer-mqtt-0"),
			},
			blast.Notice, "Backend sets are replaced: mqtt (its retries 3 -> 4)",
		},
		"another idle time": {
			[]blast.Change{change(blast.Update, "LoadBalancer/listener:Listener", "listeners-mqtt", blast.Diff{Path: "connectionConfiguration.idleTimeoutInSeconds", Kind: "update", Old: "900", New: "1200"})},
			blast.Notice, "Listeners change: mqtt (idle timeout in s 900 -> 1200)",
		},
		"deleted": {[]blast.Change{change(blast.Delete, "LoadBalancer/loadBalancer:LoadBalancer", "balancer")}, blast.Interruption, "The balancer is deleted: no client gets in"},
	} {
		r := assess("flexible", c.changes...)
		assert.Equal(t, len(r.Lines), 1, "%s: %+v", name, r.Lines)
		assert.Equal(t, r.Lines[0].Text, c.want)
		assert.Equal(t, r.Lines[0].Severity, c.severity, name)
	}
	ended := change(blast.Update, "LoadBalancer/listener:Listener", "listeners-mqtts", blast.Diff{Path: "sslConfiguration", Kind: "add"})
	ended.Old, ended.New = map[string]any{}, map[string]any{"sslConfiguration": map[string]any{"certificateName": "x"}}
	r := assess("flexible", ended)
	assert.Equal(t, r.Lines[0].Text, "TLS ends elsewhere for mqtts")
	assert.Equal(t, r.Lines[0].Severity, blast.Interruption)
}

// The estimate rests on the table of the lab's cloud.
func TestWordsSecondsAreTheLabsTable(t *testing.T) {
	real := cloud.LatencyOCI(1)
	assert.Equal(t, real.Of("oci:LoadBalancer/loadBalancer:LoadBalancer", cloud.OpCreate), 60*time.Second)
	for _, part := range []string{"backendSet:BackendSet", "backend:Backend", "listener:Listener", "certificate:Certificate", "sslCipherSuite:SslCipherSuite"} {
		assert.Equal(t, real.Of("oci:LoadBalancer/"+part, cloud.OpCreate), 12*time.Second)
	}
}
