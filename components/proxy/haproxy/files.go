package haproxy

import _ "embed" // the files

// Job is the job file of the proxies, with the variables of [Vars]. It reads its secrets
// from "nomad/jobs/" + [JobID].
//
//go:embed files/haproxy.nomad.hcl
var Job string

// Run is the script that runs HAProxy in its container: it reloads a changed
// configuration, and lets the balancer turn away before HAProxy stops.
//
//go:embed files/haproxy-run.sh
var Run string

// Config is HAProxy's configuration, a consul-template that only Nomad renders: its
// values come from the job and from Nomad's variables.
//
//go:embed files/haproxy.cfg
var Config string
