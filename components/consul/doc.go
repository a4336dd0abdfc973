// Package consul records a cluster in Consul: the list of its members, by which
// EMQX nodes find each other, and what was intended with it. Services with
// health checks are not its business: Nomad registers those.
package consul
