// Package oci holds the components that live in Oracle Cloud: volumes,
// addresses, security groups, instance pools with their boot script, the load
// balancer, its listeners and the DNS record. Each takes plain arguments and is
// usable on its own; none knows a stack's settings, Nomad or Consul's API.
package oci
