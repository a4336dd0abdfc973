// Package providers serves the lab's Pulumi providers `oci`, `nomad` and `consul`
// to the engine, in place of the official plugins: one process, three listeners,
// attached through the engine's PULUMI_DEBUG_PROVIDERS variable, so nothing is
// downloaded and the program uses the official SDKs unchanged.
//
//	table   what resources look like; checking and comparing
//	rpc     the engine's protocol over a table and a client
//	oci     the lab's cloud
//	nomad   a real Nomad server
//	consul  a real Consul server
//
// It must not know the stack, nor Linux: the cloud comes as an interface, the
// servers as addresses.
package providers
