package settings

import (
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// To whom a listener is open ([Listener.Open]). Neither word is a truth value in YAML 1.1,
// as "on" and "off" are.
const (
	OpenAll  = "all"
	OpenVCN  = "vcn"
	OpenNone = "none"
)

// Named is the listener of that name: mqtt, mqtts, ws or wss.
func (l *Listeners) Named(name string) *Listener {
	return map[string]*Listener{"mqtt": &l.MQTT, "mqtts": &l.MQTTS, "ws": &l.WS, "wss": &l.WSS}[name]
}

// Offered are the listeners that clients have, always in the same order.
func (s *Settings) Offered() []cluster.Listener {
	var offered []cluster.Listener
	for _, l := range cluster.Listeners(s.Ports.Cluster(), s.TLS.Enabled()) {
		of := s.Listeners.Named(l.Name)
		if of.Open == OpenNone {
			continue
		}
		l.ClientCIDRs = s.clientsOf(*of)
		l.Inside = of.Open == OpenVCN && s.Edge.Public
		if l.TLS && !s.TLS.AtBroker() {
			l.LeadsTo = s.brokerPortBehind(l.Name)
		}
		offered = append(offered, l)
	}
	return offered
}

// clientsOf are the ranges that a listener admits.
func (s *Settings) clientsOf(l Listener) []string {
	switch {
	case len(l.ClientCIDRs) > 0:
		return l.ClientCIDRs
	case l.Open == OpenVCN:
		public := PublicRanges(s.Network.ClientCIDRs)
		return slices.DeleteFunc(slices.Clone(s.Network.ClientCIDRs), func(c string) bool { return slices.Contains(public, c) })
	}
	return s.Network.ClientCIDRs
}

// brokerPortBehind is where the proxy leads what has had its TLS ended.
func (s *Settings) brokerPortBehind(name string) int {
	if name == "wss" {
		return s.Ports.Broker.WS
	}
	return s.Ports.Broker.MQTT
}

// BrokerListeners are the names of those that EMQX has: where TLS ends before it the
// plain ones, each as long as it or its TLS sibling is offered.
func (s *Settings) BrokerListeners() []string {
	var names []string
	for _, l := range s.Offered() {
		name := l.Name
		if l.LeadsTo != 0 {
			name = strings.TrimSuffix(name, "s") // wss leads to ws, mqtts to mqtt
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Index(inOrder, a) - slices.Index(inOrder, b) })
	return names
}

var inOrder = cluster.ListenerNames(cluster.Listeners(cluster.DefaultPorts, true))

// Unasked are the listeners through which no round trip of an update goes, and why, by
// their names.
func (s *Settings) Unasked() map[string]string {
	why := map[string]string{}
	offered := s.Offered()
	for _, name := range inOrder {
		switch i := slices.IndexFunc(offered, func(l cluster.Listener) bool { return l.Name == name }); {
		case i >= 0 && offered[i].Inside:
			why[name] = "which is for the private network alone (listeners." + name + ".open: vcn) and not at the balancer"
		case i < 0 && s.Listeners.Named(name).Open == OpenNone:
			why[name] = "which listeners." + name + ".open: none has taken away"
		}
	}
	return why
}

// PlainFromPublic are the listeners without TLS that the internet reaches.
func (s *Settings) PlainFromPublic() []cluster.Listener {
	return slices.DeleteFunc(s.Offered(), func(l cluster.Listener) bool {
		return l.TLS || !s.Edge.Public || l.Inside || len(PublicRanges(l.ClientCIDRs)) == 0
	})
}

// validateListeners checks that somebody can come, and that private is private.
func (s *Settings) validateListeners(f checker) {
	if f.hasAbove("network.clientCidrs") || f.HasBelow("listeners") || f.hasAbove("listeners") {
		return
	}
	for _, name := range inOrder {
		l, at := *s.Listeners.Named(name), "listeners."+name+".clientCidrs"
		if l.Open != OpenVCN {
			continue
		}
		if public := PublicRanges(l.ClientCIDRs); len(public) > 0 {
			f.Add(at, "must be private ranges with open: vcn, got %s", strings.Join(public, ", "))
		} else if len(s.clientsOf(l)) == 0 {
			f.Add(at, "must be set with open: vcn, as network.clientCidrs holds no private range")
		}
	}
	switch offered := s.Offered(); {
	case f.HasBelow("listeners"):
	case len(offered) == 0 && s.TLS.Enabled():
		f.Add("listeners", "must leave one open: all four are none")
	case len(offered) == 0:
		f.Add("listeners", "must leave one open: mqtt and ws are none, and mqtts and wss need tls.certificate")
	case len(cluster.AtEdge(offered)) == 0:
		f.Add("listeners", "must leave one open to all, or edge.public be false: the public balancer would have nothing, and no update could end with a round trip")
	}
}
