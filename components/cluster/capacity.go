package cluster

import "fmt"

// What connections cost, and so how many fit. Broker and proxy are sized from the
// same numbers: a cluster whose proxies let in more than its brokers can hold loses
// all of them to the kernel, one after another.
const (
	// ProxyConnectionKB is what HAProxy's configuration manual ("maxconn") counts for
	// a busy connection: two buffers of 16 kB, and the session. An idle one takes 3.6 kB
	// (measured, 2.6).
	ProxyConnectionKB = 33
	// ProxyConnectionTLSKB is one whose TLS HAProxy ends itself: 8,000 to a GB
	// (introduction, "System sizing").
	ProxyConnectionTLSKB = 125
	// ProxyOwnMB is HAProxy without a connection.
	ProxyOwnMB = 64
	// ProxyHeadroom are the connections of HAProxy that clients cannot have: health
	// checks, Consul, monitoring, and those that are being refused.
	ProxyHeadroom = 200
	// ProxyOwnFiles are HAProxy's ports, checks, resolvers and logs.
	ProxyOwnFiles = 512
	// MinMaxConn is the least that a proxy is of use with.
	MinMaxConn = 100
	// MaxMaxConn is the most that one is given: 2,000,000 take 63 GB.
	MaxMaxConn = 2_000_000
	// defaultMaxConn is the most that a proxy is given by itself.
	defaultMaxConn = 50000

	// BrokerOwnMB is EMQX 5.8.9 without a client: 250 MB measured, and room for
	// [BrokerSpare].
	BrokerOwnMB = 288
	// MinBrokerMB is the least memory of a broker that is of use.
	MinBrokerMB = 320
	// BrokerConnectionKB is a client of EMQX 5.8.9 while it connects: 43 kB measured, 21
	// to 26 kB once it is idle. All come at once after a restart.
	BrokerConnectionKB = 43
	// BrokerConnectionTLSKB is one with TLS: EMQX's own load tests hold 384,000 on 32
	// GB (emqx/tf-emqx-performance-test, emqx5-1M-subs-ssl.yaml).
	BrokerConnectionTLSKB = 85
	// BrokerSpare are connections of a listener beyond those of clients: a full one
	// still answers those who ask whether it works.
	BrokerSpare = 100
	// BrokerOwnFiles are what EMQX opens besides connections: its listeners, peers, logs
	// and database.
	BrokerOwnFiles = 1024

	// DefaultNoFile is a broker's limit of open files, and Docker's, where none is given.
	DefaultNoFile = 1 << 20

	// MinBrokerCPU and MinProxyCPU are the least that Nomad reserves, MaxCPU the most, in MHz.
	MinBrokerCPU = 100
	MinProxyCPU  = 50
	MaxCPU       = 1_000_000
)

// ProxyMemoryMB is the memory of a HAProxy with maxConn client connections, in MB. One that
// ends TLS itself does not know how many of them come by it: all of them may.
func ProxyMemoryMB(maxConn int, tls bool) int {
	return ProxyOwnMB + ((maxConn+ProxyHeadroom)*proxyKB(tls)+1023)/1024
}

func proxyKB(tls bool) int {
	if tls {
		return ProxyConnectionTLSKB
	}
	return ProxyConnectionKB
}

// ProxyFiles are the open files of a HAProxy with maxConn client connections, each of
// which is two sockets, the client's and EMQX's.
func ProxyFiles(maxConn int) int { return 2*(maxConn+ProxyHeadroom) + ProxyOwnFiles }

// brokerKB is what one client takes. Of a broker that ends TLS itself it is not known
// how many come by it: all of them may.
func brokerKB(tls bool) int {
	if tls {
		return BrokerConnectionTLSKB
	}
	return BrokerConnectionKB
}

// BrokerConnections are the clients that a broker with so many MB can hold.
func BrokerConnections(memoryMB int, tls bool) int {
	return max(0, memoryMB-BrokerOwnMB) * 1024 / brokerKB(tls)
}

// BrokerMemoryMB is the memory of a broker with so many clients, in MB.
func BrokerMemoryMB(connections int, tls bool) int {
	return BrokerOwnMB + (connections*brokerKB(tls)+1023)/1024
}

// BrokerFiles are the open files of a broker with so many clients.
func BrokerFiles(connections int) int { return connections + BrokerOwnFiles }

// BrokerShare are the clients that one broker gets from the proxies of a cluster, each
// with maxConn, while one broker is away: they spread what they let in.
func BrokerShare(maxConn, nodes int) int {
	if nodes < 2 {
		return maxConn
	}
	return (maxConn*nodes + nodes - 2) / (nodes - 1)
}

// MaxConnOf is the most that each proxy may let in, so that the brokers take it with so
// many clients each while one of them is away.
func MaxConnOf(maxConnections, nodes int) int {
	if nodes < 2 {
		return maxConnections
	}
	return maxConnections * (nodes - 1) / nodes
}

// DefaultMaxConn is what a proxy lets in where nothing else is said. Half: of two brokers
// one holds what both proxies let in, and of more all the more. It does not follow from
// the number of nodes, so that a new one restarts nothing.
func DefaultMaxConn(maxConnections int) int { return min(defaultMaxConn, maxConnections/2) }

// BrokerSize is what one EMQX is given.
type BrokerSize struct {
	// MemoryMB is its limit.
	MemoryMB int
	// NoFile is its limit of open files; a client takes one.
	NoFile int
	// MaxConnections are the clients that it takes. Each listener takes as many: how they
	// share them is not known.
	MaxConnections int
	// TLS: it ends the clients' TLS.
	TLS bool
}

// Derived fills MaxConnections in where it is zero: what memory and files hold.
func (b BrokerSize) Derived() BrokerSize {
	if b.MaxConnections == 0 {
		b.MaxConnections = max(0, min(BrokerConnections(b.MemoryMB, b.TLS), b.NoFile-BrokerOwnFiles))
	}
	return b
}

// Faults are what does not fit together.
func (b BrokerSize) Faults() []Fault {
	var found []Fault
	if need := BrokerMemoryMB(b.MaxConnections, b.TLS); b.MemoryMB < need {
		found = append(found, Fault{
			Of: "memoryMb", With: []string{"maxConnections", "noFile"},
			Text: fmt.Sprintf("must be at least %d for broker.maxConnections (%d, %s), got %d, which holds %d",
				need, b.MaxConnections, b.Each(), b.MemoryMB, BrokerConnections(b.MemoryMB, b.TLS)),
		})
	}
	if need := BrokerFiles(b.MaxConnections); b.NoFile < need {
		found = append(found, Fault{
			Of: "noFile", With: []string{"maxConnections", "memoryMb"},
			Text: fmt.Sprintf("must be at least %d for broker.maxConnections (%d) and %d files of its own, got %d", need, b.MaxConnections, BrokerOwnFiles, b.NoFile),
		})
	}
	return found
}

// Each is what one client takes, in words.
func (b BrokerSize) Each() string {
	if b.TLS {
		return fmt.Sprintf("%d kB each with TLS", BrokerConnectionTLSKB)
	}
	return fmt.Sprintf("%d kB each", BrokerConnectionKB)
}

// ProxySize is what one HAProxy is given.
type ProxySize struct {
	// MaxConn are the clients that it accepts, over all protocols; it has
	// [ProxyHeadroom] connections more for everybody else.
	MaxConn int
	// MaxConnPerSource are those of one address; 0 is no limit.
	MaxConnPerSource int
	// MemoryMB and NoFile are its limits.
	MemoryMB, NoFile int
	// TLS: it ends the clients' TLS.
	TLS bool
}

// Derived fills memory and files in where they are zero: what MaxConn needs.
func (p ProxySize) Derived() ProxySize {
	if p.MemoryMB == 0 {
		p.MemoryMB = ProxyMemoryMB(p.MaxConn, p.TLS)
	}
	if p.NoFile == 0 {
		p.NoFile = ProxyFiles(p.MaxConn)
	}
	return p
}

// Faults are what does not fit together.
func (p ProxySize) Faults() []Fault {
	var found []Fault
	with := []string{"maxConn"}
	if p.MaxConnPerSource > p.MaxConn {
		found = append(found, Fault{
			Of: "maxConnPerSource", With: with, Text: fmt.Sprintf("must be at most proxy.maxConn (%d), got %d", p.MaxConn, p.MaxConnPerSource),
		})
	}
	if need := ProxyMemoryMB(p.MaxConn, p.TLS); p.MemoryMB < need {
		found = append(found, Fault{
			Of: "memoryMb", With: with, Text: fmt.Sprintf("must be at least %d for %d connections of %d kB, got %d", need, p.MaxConn, proxyKB(p.TLS), p.MemoryMB),
		})
	}
	if need := ProxyFiles(p.MaxConn); p.NoFile < need {
		found = append(found, Fault{Of: "noFile", With: with, Text: fmt.Sprintf("must be at least %d for %d connections, got %d", need, p.MaxConn, p.NoFile)})
	}
	return found
}
