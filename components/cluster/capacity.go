package cluster

// What connections cost, and so how many fit. Broker and proxy are sized from the
// same numbers: a cluster whose proxies let in more than its brokers can hold loses
// all of them to the kernel, one after another.
const (
	// ProxyConnectionKB is what HAProxy's configuration manual ("maxconn") counts for
	// a busy connection: two buffers of 16 kB, and the session. An idle one takes 3.6 kB
	// (measured, 2.6).
	ProxyConnectionKB = 33
	// ProxyOwnMB is HAProxy without a connection.
	ProxyOwnMB = 64
	// ProxyHeadroom are the connections of HAProxy that clients cannot have: health
	// checks, Consul, monitoring, and those that are being refused.
	ProxyHeadroom = 200
	// ProxyOwnFiles are HAProxy's ports, checks, resolvers and logs.
	ProxyOwnFiles = 512

	// BrokerOwnMB is EMQX 5.8.9 without a client: 250 MB measured, and room for
	// [BrokerSpare].
	BrokerOwnMB = 288
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
)

// ProxyMemoryMB is the memory of a HAProxy with maxConn client connections, in MB.
func ProxyMemoryMB(maxConn int) int {
	return ProxyOwnMB + ((maxConn+ProxyHeadroom)*ProxyConnectionKB+1023)/1024
}

// ProxyFiles are the open files of a HAProxy with maxConn client connections, each of
// which is two sockets, the client's and EMQX's.
func ProxyFiles(maxConn int) int { return 2*(maxConn+ProxyHeadroom) + ProxyOwnFiles }

// brokerKB is what one client takes. In a stack with a certificate it is not known
// how many come by TLS: all of them may.
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

// BrokerShare are the clients that one broker gets from the proxies of a cluster, each
// with maxConn, while one broker is away: they spread what they let in.
func BrokerShare(maxConn, nodes int) int {
	if nodes < 2 {
		return maxConn
	}
	return (maxConn*nodes + nodes - 2) / (nodes - 1)
}
