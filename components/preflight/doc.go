// Package preflight finds, without a cloud, what a stack's settings and the
// resources made of them would be refused for, or would run badly with, once it
// is too late: in the middle of an update. It owns the table of checks and what
// the clouds' own APIs accept. It reads no configuration, calls nobody and
// changes nothing; the graph is handed to it as what a program registered.
package preflight
