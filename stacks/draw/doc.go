// Package draw makes the picture of the dependency graph from what the real
// stack registers, so that the picture cannot go stale: one box per component,
// an arrow for "waits for", a gate's name where one stands before the box.
package draw
