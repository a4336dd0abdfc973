// Package cli is the command line: one file per verb. Options holds everything from outside, so that a test runs a
// command without a process, a terminal, an engine or a cloud.
//
// It decides what is asked, printed and returned. How the engine is run is orchestrate's, what is deployed the
// program's. The lab is a program of its own: emqx-oci-lab.
package cli
