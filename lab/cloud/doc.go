// Package cloud is the lab's simulated OCI control plane: the resources that the
// stack asks for, with OCI's identifiers, lifecycle states, refusals and outputs.
//
// It owns what the cloud knows (resources, their states, who is attached to
// what) and decides; it never touches Linux itself. What must happen on the
// machine goes through the Machine interface, whose calls are idempotent, so
// that everything can be asserted again after a crash. It must not know Pulumi,
// Nomad, Consul or EMQX: it is keyed by resource tokens and property names only
// because those are OCI's own words in camelCase.
//
// Every change is written to disk before it is acted upon, so a process that is
// killed at any point leaves no resource that Open cannot find.
package cloud
