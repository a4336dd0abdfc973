package cluster

// Arrival is how clients come through an edge to the proxies behind it.
type Arrival struct {
	// ProxyProtocolFrom is the range that the edge's connections come from, each with a header
	// of PROXY protocol v2 before what the client says. "" is an edge that passes packets on,
	// with the clients' own addresses.
	ProxyProtocolFrom string
}

// Announced tells whether a header says who the client is, and not the packets.
func (a Arrival) Announced() bool { return a.ProxyProtocolFrom != "" }
