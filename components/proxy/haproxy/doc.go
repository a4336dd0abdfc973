// Package haproxy is HAProxy between the edge and the brokers: its job file and
// configuration, the component that registers the job, and the check of its secrets.
// Whether a deployment succeeds is not its business: gates watch that.
package haproxy
