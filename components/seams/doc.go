// Package seams holds what a cluster is made of besides its brokers, as four questions, each an interface with as many
// implementations as there are answers:
//
//   - [Hosts]: which nodes there are, how one is relaunched, where its boot script comes from.
//   - [Edge]: who stands in front, whether it is healthy, how it opens.
//   - [Proxy]: what is between the edge and the brokers.
//   - [Names]: who answers for the public name.
//
// An implementation is a folder: components/hosts/ocihosts, components/edge/nlb, components/proxy/haproxy and
// components/names/ocidns are the first. All that is said of it stands there: its components, the checks of what it
// registers, its words for a plan, its gate, what it tells of itself between two updates. components/kinds is the table
// of all of them, with a line for each; nothing else names one.
//
// The brokers need of their nodes what [docs/architecture.md] calls identity, whoever makes them.
package seams
