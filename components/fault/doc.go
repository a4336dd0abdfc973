// Package fault collects everything that is wrong with an input, so that one
// run tells the user all of it. It knows nothing of what it collects.
package fault
