// Package blast says what a plan of the engine means for a running cluster: which
// nodes restart and in which order, what is added and what is lost, which clients
// notice, and about how long it takes.
//
// It is pure: a plan and the stack's settings in, a [Report] out. It knows EMQX's job,
// its secrets and its entries in Consul, by the types and names of their resources, and
// nothing of the engine, of Pulumi or of a cloud. What the cluster runs on, its edge,
// its proxy and its name are spoken of by the words of their kind ([Kinds]), each in
// the folder of its implementation. What nobody knows is listed as "other": no change
// is silent.
package blast
