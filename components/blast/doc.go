// Package blast says what a plan of the engine means for a running cluster: which
// nodes restart and in which order, what is added and what is lost, which clients
// notice, and about how long it takes.
//
// It is pure: a plan and the stack's settings in, a [Report] out. It knows the
// graph that stacks builds, by the types and names of its resources, and nothing
// of the engine, of Pulumi or of a cloud's API. What it does not know it lists as
// "other": no change is silent.
package blast
