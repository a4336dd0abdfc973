//go:build tools

// Package tools pins govulncheck, and a snapshot of the database of Go's known vulnerabilities for where that of today
// cannot be reached.
package tools

import (
	_ "golang.org/x/vuln/cmd/govulncheck"
	_ "golang.org/x/vulndb/cmd/indexdb"
)
