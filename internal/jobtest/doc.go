// Package jobtest reads job files as Nomad does and, with tag lab, runs their jobs in a
// real Nomad beside a real Consul, in a network of their own. It knows no job but what
// all jobs of a cluster have in common.
package jobtest
