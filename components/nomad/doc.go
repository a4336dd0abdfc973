// Package nomad holds the two jobs of a cluster, EMQX and HAProxy, as job files
// and as components that register them, and the Nomad variables that carry
// their secrets. Whether a deployment succeeds is not its business: gates watch
// that.
package nomad
