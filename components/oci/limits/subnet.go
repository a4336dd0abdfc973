package limits

import "net/netip"

// reservedBySubnet are the addresses that OCI keeps in every range of a subnet:
// the first two and the last (OCI's documents, "VCNs and Subnets").
const reservedBySubnet = 3

// AddressesUsable is how many addresses of a subnet's IPv4 range may be given
// away.
func AddressesUsable(subnet netip.Prefix) int {
	return max(0, 1<<(32-subnet.Bits())-reservedBySubnet)
}

// AddressesNeeded is how many addresses so many nodes want of their subnet: each
// has the primary one of its instance and its reserved one, and while a pool
// relaunches an instance the new one comes before the old one's address is free.
func AddressesNeeded(nodes int) int { return 2*nodes + 1 }
