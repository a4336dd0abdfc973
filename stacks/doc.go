// Package stacks is the program: it takes the settings of one environment and
// declares everything the cluster is made of, as one dependency graph. Read
// graph.go first. What a thing is stands in components/, when it may go on in
// infra/gates; this package only says which and in what order.
package stacks
