// Package preflight finds, without a cloud, what a stack's settings and the
// resources made of them would be refused for, or would run badly with, once it
// is too late: in the middle of an update. It owns what a check is, how checks are
// performed and told, and those that are about brokers, Consul and Nomad. Checks of
// hosts, edges, proxies and names are with each implementation, which hands a list of
// its own: [Join] makes one of all. It reads no configuration, calls nobody and
// changes nothing; the graph is handed to it as what a program registered.
//
// It holds what a stack file can get wrong. What only the program could is looked for
// by tests (ProgramChecks), and what Nomad can be asked, a preview asks it.
package preflight
