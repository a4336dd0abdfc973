// Package recorder runs a Pulumi program without an engine or a cloud and keeps
// what it would register: types, names, inputs, parents, dependencies. Tests
// assert on that, and the picture of the graph is drawn from it.
package recorder
