// Package renew gets certificates from outside a stack, and keeps them where its jobs read them: in Nomad variables that are
// no resources of the stack, so that a renewal is no update, and none of them stands in a state.
package renew
