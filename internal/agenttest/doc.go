// Package agenttest finds the pinned programs for tests and, with tag lab, runs
// real Consul and Nomad agents for them. Whatever such an agent starts or mounts
// is gone when its test ends, also when that ends badly.
package agenttest
