// Package gates holds the conditions that must be true before the graph goes
// on, the one loop that waits for them, and their binding to Pulumi.
//
// A gate is a [Gate] value: a pure question (its Check) and how long it may be
// asked. [Wait] asks until it holds. [Hook] binds a gate to the resource that
// must wait for it, as a before-hook: a resource whose gate does not hold is
// not created, so the next update asks again, where a failed after-hook would
// have left its resource in the state and the next update would sail past.
// [Verify] asks some gates once more at the end of every update, changed or
// not, so that no update is green over a sick cluster.
//
// What has to be done before a gate can hold is a [Step], under its own name: the check
// finds it due, the wait takes it and asks again.
//
// The five gates, which a [List] has with what waits for them, in docs/architecture.md:
//
//	G1 NodesReady, with the step PurgeDeadNodes
//	G2 ClusterFormed
//	G3 ProxiesReady
//	G4 EdgeHealthy
//	G5 RoundTrip, through every listener
//
// The package asks the APIs of Nomad, Consul and the cloud, and MQTT; it needs
// neither SSH nor a route to the nodes. It knows nothing of settings, components
// or stacks: every value comes as an argument. Nothing else in the program waits.
package gates
