// Package nomad holds EMQX's job as a job file and as a component that registers it,
// the Nomad variables that carry the jobs' secrets, and what every job file of a
// cluster shares. Whether a deployment succeeds is not its business: gates watch that.
package nomad
