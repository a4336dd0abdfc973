// Package machine is the Linux side of the lab: everything that the simulated
// cloud needs to be real. It makes network namespaces, instances with a PID 1 of
// their own, volumes on loop devices, firewalls and balancers in nftables, a DNS
// server, real Consul and Nomad servers, and doors on the host's loopback.
//
// # What outlives the process
//
// A Machine is a handle, not the lab: namespaces, instances, servers, firewalls
// and balancers go on when the process ends, and the next Up adopts them by what
// stands in Dir (processes by pid, start time and boot). Sockets do not: doors,
// DNS, metadata and the socket of the oci command are opened again by Up.
//
// # The network
//
// The gateway namespace routes; there is no bridge. Every other namespace hangs
// on it by one veth pair, and the gateway answers ARP for whatever it has a route
// to. So an address belongs to the instance that the gateway's /32 route names,
// as it does to a VNIC in OCI: moving a reserved address is one route change, and
// no stale ARP entry anywhere delays it. No interface of the lab is ever in the
// host's namespace, and nothing leaves the gateway, because it has no default route.
//
// The package knows nothing of OCI's resources; that is package cloud.
package machine
