// Package cluster holds what all components of one EMQX cluster must agree on:
// the names of its nodes, where they are placed, and the ports on the path of a
// client. It is plain data and knows no cloud, no scheduler and no settings.
package cluster
