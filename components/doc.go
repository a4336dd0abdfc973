// Package components is the whole: [Cluster], one component resource that declares everything an EMQX cluster is made
// of, as one dependency graph with its gates. Read cluster.go first. What a thing is stands in the packages below, when
// the graph may go on in infra/gates; this package says which and in what order.
package components
