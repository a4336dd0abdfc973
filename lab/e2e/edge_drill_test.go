//go:build lab && drill

package e2e

import (
	"strings"
	"testing"
)

// TestEdgeOfAnotherKind changes the kind of a living cluster's edge beside clients, and back. What they were sent they get;
// they have to look up the name again.
func TestEdgeOfAnotherKind(t *testing.T) {
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	b.edit(t, publicSubnet, publicRange)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	changes := func(from, to string) {
		b.edit(t, from, to)
		p := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
		if !strings.Contains(p, "The balancer is replaced by one of another kind, and with it its address") {
			t.Fatal(p)
		}
		b.underLoad(t, func() { b.must(t, "up", "lab", "--yes") })
		b.must(t, "verify", "lab")
		allProtocols(t, b)
	}
	b.chapter(t, "to the flexible one", func(*testing.T, *bed) { changes(healthOfEdge, flexibleEdge) })
	b.chapter(t, "other health checks", func(t *testing.T, b *bed) {
		b.edit(t, "healthRetries: 2", "healthRetries: 3")
		b.underLoadOf(t, func() { b.must(t, "up", "lab", "--yes") })
	})
	b.chapter(t, "TLS ends at the edge", func(t *testing.T, b *bed) {
		b.edit(t, tlsAtProxy, tlsAtEdge)
		p := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
		if !strings.Contains(p, "TLS ends elsewhere for mqtts, wss") {
			t.Fatal(p)
		}
		b.must(t, "up", "lab", "--yes")
		b.must(t, "verify", "lab")
	})
	b.chapter(t, "back to the network one", func(t *testing.T, b *bed) {
		b.edit(t, tlsAtEdge, tlsAtProxy)
		changes(flexibleEdge, healthOfEdge)
	})
}
