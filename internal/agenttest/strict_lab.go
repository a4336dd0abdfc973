//go:build lab

package agenttest

// strict makes a missing program a failure: in the lab's suite a skip would look
// like a pass.
const strict = true
