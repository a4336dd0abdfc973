// Package stacks is the program: it takes the settings of one environment, checks them, and declares the cluster
// (package components) with its outputs. Read run.go first.
package stacks
