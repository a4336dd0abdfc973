//go:build tools

// Package tools pins golangci-lint, which runs every linter and formatter of `make lint`.
package tools

import _ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
