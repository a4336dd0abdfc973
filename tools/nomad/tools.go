//go:build tools

// Package tools pins Nomad: the scheduler of the lab, and the judge of the job files in the tests.
package tools

import _ "github.com/hashicorp/nomad"
