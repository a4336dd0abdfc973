//go:build !lab

package agenttest

const strict = false
