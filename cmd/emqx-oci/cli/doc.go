// Package cli is the command line: one file per verb. Options holds everything from outside, so that a test runs a
// command without a process, a terminal, an engine or a lab.
//
// It decides what is asked, printed and returned. How the engine is run is orchestrate's, what is deployed the
// program's, how the lab works the lab's.
package cli
