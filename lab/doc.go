// Package lab is the local cloud as its users see it: up, down, status, exec.
//
// It joins what its sub-packages each own (cloud: the control plane; machine: the
// Linux side; providers: what Pulumi's engine talks to) into one daemon, and
// keeps the lab's own secrets. The daemon may be killed at any time: instances,
// volumes and servers outlive it, and the next Up adopts them. Nothing here knows
// the stack.
package lab
