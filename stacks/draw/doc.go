// Package draw makes the picture of the dependency graph from what the real
// stack registers, so that the picture cannot go stale: one box per component,
// an arrow for "waits for", and every gate that stands before the box.
package draw
