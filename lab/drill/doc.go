// Package drill breaks and changes a lab's cluster while clients keep count, and holds what they saw to what
// docs/availability.md promises.
//
// A [Scenario] is one line of that page: what is done, what undoes it, what must be seen on the way, and the promise. A
// [Drill] runs scenarios one after another on one lab, each under a workload of its own (package lab/load, through the
// public name, on all protocols), and goes on after a broken promise. Whether the cluster is at full strength is asked of
// the product's own gates (package infra/gates), never of an update of the stack: the product promises to get there by
// itself.
//
// The package drives the command emqx-oci as a user does; it knows the lab and the gates, nothing of settings, components
// or stacks.
package drill
