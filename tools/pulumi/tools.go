//go:build tools

// Package tools pins the Pulumi CLI, the engine behind the Automation API, and the language host of Pulumi YAML, with
// which the tests run a program in YAML.
package tools

import (
	_ "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"
	_ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
)
