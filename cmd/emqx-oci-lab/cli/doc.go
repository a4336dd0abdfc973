// Package cli is the command line of the lab. Options holds everything from outside, so that a test runs a command without a
// process, a terminal or a lab. How the lab works is the lab's.
package cli
