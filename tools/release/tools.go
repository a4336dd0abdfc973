//go:build tools

// Package tools pins goreleaser, which makes a release's archives, and cyclonedx-gomod, which
// lists what is in their programs.
package tools

import (
	_ "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod"
	_ "github.com/goreleaser/goreleaser/v2"
)
