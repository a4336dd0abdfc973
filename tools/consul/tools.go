//go:build tools

// Package tools pins Consul: service catalog, health checks and DNS of the lab.
package tools

import _ "github.com/hashicorp/consul"
